// The spans of a test as a tree on a scale of time.

const MOST_OPEN = 300;
const MOST_INDENT = 20;

// Gives each span its children, its depth and, for itself and what is inside, the sum of tokens and cost. Time begins
// with the first span: what a test did before, such as imports, would press the bars against the end.
function grown(trace) {
  const { spans } = trace;
  for (const span of spans) {
    const [input, output, cached, written, reasoning, price, unreported] = trace.calls[span.id] ?? [0, 0, 0, 0, 0, 0, 0];
    const requests = span.id in trace.calls ? 1 : 0;
    span.sum = { requests, input, output, cached, written, reasoning, cost: Number(price), unpriced: price === null ? 1 : 0, unreported };
    span.inside = [];
    const above = spans[span.parent_id];
    span.depth = above === undefined ? 0 : above.depth + 1;
    above?.inside.push(span.id);
  }
  trace.roots = spans.filter((span) => span.parent_id === undefined).map((span) => span.id);
  for (const span of [...spans].reverse()) {
    const above = spans[span.parent_id];
    if (above !== undefined) for (const name of Object.keys(above.sum)) above.sum[name] += span.sum[name];
  }
  trace.begin = spans.reduce((first, span) => Math.min(first, span.start ?? 0), Infinity);
  if (spans.length === 0) trace.begin = 0;
  trace.length = spans.reduce((latest, span) => Math.max(latest, span.start ?? 0, span.end ?? 0), 0) - trace.begin;
  return trace;
}

// A few words on what a tool was given and what a model said.
function preview(span) {
  const short = (given) => (typeof given === "string" ? given.slice(0, 120) : JSON.stringify(given)?.slice(0, 120) ?? "");
  const given = (call) => Object.entries(call.arguments ?? {}).map(([name, item]) => `${name}=${short(item)}`).join(", ").slice(0, 120);
  if (span.kind === "tool") return given(span);
  if (span.kind !== "llm") return "";
  const calls = span.requested_tool_calls ?? [];
  return calls.length > 0 ? calls.map((call) => `→ ${call.name}(${given(call)})`).join(", ") : short(span.response);
}

class Timeline {
  constructor(trace, choose) {
    this.trace = trace;
    this.open = new Set();
    this.marked = new Set(trace.failing);
    this.box = el("div", { id: "timeline", role: "tree", tabindex: "0", "aria-label": "Timeline of spans" });
    this.rows = new Rows(this.box, {
      draw: (item, place) => this.draw(item, place),
      move: (item) => choose(item.span),
      choose: (item, event) => {
        if (event.target.closest?.(".fold")) this.fold(item.span, !this.open.has(item.span.id));
        else choose(item.span, true);
      },
      key: (key, item) => this.pressed(key, item),
    });
    const few = trace.spans.length <= MOST_OPEN;
    for (const span of trace.spans) if (few || span.depth < 2) this.open.add(span.id);
    for (const id of trace.failing) this.uncover(id);
    this.refresh(-1);
  }

  // The head of the scale; the lines in the rows stand below its marks.
  scale() {
    const { length } = this.trace;
    const found = moments(length);
    const marks = found.map((moment) => {
      const mark = el("span", { class: moment > 0.9 * length ? "last" : null }, moment === 0 ? "0" : seconds(moment).replace(/(\.\d*?)0+ /, "$1 ").replace(". ", " "));
      mark.style.left = this.percent(moment);
      return mark;
    });
    this.box.style.setProperty("--step", found.length > 1 ? this.percent(found[1]) : "100%");
    return el("div", { class: "scale", "aria-hidden": "true" }, el("span", null, "span"), el("div", { class: "marks" }, marks), el("span", null, "took"));
  }

  uncover(id) {
    for (let above = this.trace.spans[id]?.parent_id; above !== undefined; above = this.trace.spans[above].parent_id) this.open.add(above);
  }

  refresh(active) {
    const { spans, roots } = this.trace;
    const items = [];
    const stack = [[roots, 0]];
    while (stack.length > 0) {
      const top = stack.at(-1);
      if (top[1] === top[0].length) {
        stack.pop();
        continue;
      }
      const span = spans[top[0][top[1]]];
      top[1] += 1;
      items.push({ span, place: top[1], of: top[0].length });
      if (span.inside.length > 0 && this.open.has(span.id)) stack.push([span.inside, 0]);
    }
    this.rows.set(items, items.findIndex((item) => item.span.id === active));
  }

  get active() {
    return this.rows.items[this.rows.active]?.span;
  }

  fold(span, open) {
    if (open) this.open.add(span.id);
    else this.open.delete(span.id);
    this.refresh(span.id);
  }

  foldAll(open) {
    this.open = new Set(open ? this.trace.spans.map((span) => span.id) : []);
    let kept = this.active;
    while (!open && kept?.parent_id !== undefined) kept = this.trace.spans[kept.parent_id];
    this.refresh(kept?.id ?? -1);
    if (kept !== undefined) this.rows.activate(this.rows.active);
  }

  show(id) {
    this.uncover(id);
    this.refresh(id);
    this.rows.activate(this.rows.active);
  }

  pressed(key, { span }) {
    const foldable = span.inside.length > 0;
    if (key === "ArrowRight" && foldable && !this.open.has(span.id)) this.fold(span, true);
    else if (key === "ArrowRight" && foldable) this.rows.activate(this.rows.active + 1);
    else if (key === "ArrowLeft" && foldable && this.open.has(span.id)) this.fold(span, false);
    else if (key === "ArrowLeft" && span.parent_id !== undefined) this.show(span.parent_id);
    else return key === "ArrowRight" || key === "ArrowLeft";
    return true;
  }

  percent(moment) {
    return `${this.trace.length > 0 ? (moment / this.trace.length) * 100 : 0}%`;
  }

  draw({ span, place, of }) {
    const { begin, length } = this.trace;
    const from = (span.start ?? 0) - begin;
    const to = span.end === undefined ? length : span.end - begin;
    const isOpen = span.end === undefined;
    const failed = span.status === "error";
    const foldable = span.inside.length > 0;
    const unfolded = this.open.has(span.id);
    const took = isOpen ? "did not end" : seconds(to - from);
    const used = span.kind === "llm" ? tokens(span.sum) : null;
    const state = [failed && "failed", this.marked.has(span.id) && "here it failed", took, used].filter(Boolean);
    const bar = el("span", { class: `bar ${span.kind}${failed ? " failed" : ""}${isOpen ? " open" : ""}` });
    bar.style.left = this.percent(from);
    bar.style.width = this.percent(Math.max(0, to - from));
    const label = el(
      "span", { class: "label" },
      el("span", { class: foldable ? "fold" : "leaf" }, foldable ? (unfolded ? "▾" : "▸") : ""),
      el("span", { class: `kind ${span.kind}` }, span.kind.replaceAll("_", " ")),
      el("span", { class: "name" }, `${failed ? "✕ " : ""}${span.name}`, el("span", { class: "quiet" }, ` ${preview(span).replace(/\s+/g, " ")}`)),
    );
    label.style.paddingLeft = `${Math.min(span.depth, MOST_INDENT) * 0.9}rem`;
    return el(
      "div",
      {
        role: "treeitem", class: this.marked.has(span.id) ? "marked" : null, title: span.name,
        "aria-level": String(span.depth + 1), "aria-posinset": String(place), "aria-setsize": String(of),
        "aria-expanded": foldable && String(unfolded), "aria-label": `${span.kind.replaceAll("_", " ")} ${span.name}, ${state.join(", ")}`,
      },
      label, el("span", { class: "track" }, bar), el("span", { class: "took" }, isOpen ? "open" : took),
    );
  }
}
