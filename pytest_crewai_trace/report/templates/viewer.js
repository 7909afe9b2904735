// The page: the list of tests, and the run or the test that is open.

const at = (id) => document.getElementById(id);
const ORDERS = {
  bad: (one, other) => Number(other.bad) - Number(one.bad),
  ran: () => 0,
  slow: (one, other) => other.seconds - one.seconds,
  tokens: (one, other) => other.sum.input + other.sum.output - one.sum.input - one.sum.output,
  cost: (one, other) => other.sum.cost - one.sum.cost,
};
const TOTALS = ["agent", "task", "tool", "model"];
const MODULES = /^(?:[a-z_]\w*\.)+(?=[A-Z])(?:TraceAssertionError: )?/; // before what a failure says

const state = { run: null, rows: null, outcomes: new Set(), test: null, timeline: null, span: null, failing: -1, where: "" };

function badge(outcome) {
  return el("span", { class: `badge ${outcome}` }, outcome);
}

function attemptOf(test) {
  return [test.attempt > 1 && `attempt ${test.attempt}`, test.run].filter(Boolean).join(", ");
}

// ---- the list of tests

function listRow(test, place) {
  const [file, ...names] = test.id.split("::");
  const told = (test.message ?? "").split("\n", 1)[0].replace(MODULES, "").slice(0, 200);
  const numbers = [seconds(test.seconds), tokens(test.sum)].filter(Boolean).join(", ");
  const which = attemptOf(test);
  return el(
    "div",
    {
      role: "option", title: test.id, class: test === state.test ? "current" : null,
      "aria-posinset": String(place + 1), "aria-setsize": String(state.rows.items.length),
      "aria-label": [test.outcome, test.id, which, numbers, test.bad && told].filter(Boolean).join(", "),
    },
    el("div", null, badge(test.outcome), el("span", { class: "name" }, names.join(" › ") || file)),
    el("div", { class: "quiet" }, el("span", { class: "name" }, test.bad && told ? told : file), el("span", null, [which, numbers].filter(Boolean).join(", "))),
  );
}

function matching() {
  const words = at("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const found = state.run.tests.filter((test) =>
    (state.outcomes.size === 0 || state.outcomes.has(test.outcome)) && words.every((word) => test.text.includes(word)));
  return found.sort(ORDERS[at("order").value]);
}

function filter() {
  const found = matching();
  state.rows.set(found, found.indexOf(state.test));
  at("matches").textContent = `${found.length.toLocaleString("en")} of ${count(state.run.tests.length, "test")}`;
}

function outcomeButton([outcome, number]) {
  const button = el("button", { type: "button", class: `badge ${outcome}`, "aria-pressed": "false" }, `${outcome} ${number}`);
  button.addEventListener("click", () => {
    if (!state.outcomes.delete(outcome)) state.outcomes.add(outcome);
    button.setAttribute("aria-pressed", String(state.outcomes.has(outcome)));
    filter();
  });
  return button;
}

// ---- tables of totals

function totals(found) {
  return TOTALS.filter((what) => found[what].length > 0).map((what) => {
    const cell = (text) => el("td", null, text ?? "");
    const row = ([name, calls, failed, took, sum]) =>
      el("tr", null, el("th", { scope: "row" }, name), cell(calls.toLocaleString("en")), cell(failed > 0 ? `✕ ${failed}` : "0"),
        cell(seconds(took)), what !== "tool" && [cell(sum.input.toLocaleString("en")), cell(sum.output.toLocaleString("en")), cell(cost(sum))]);
    const heads = [what, what === "model" || what === "tool" ? "calls" : "times", "failed", "time", ...(what === "tool" ? [] : ["input", "output", "cost"])];
    const head = el("thead", null, el("tr", null, heads.map((text) => el("th", { scope: "col" }, text))));
    const body = el("tbody", null, found[what].slice(0, 200).map(row));
    const rest = found[what].length - 200;
    return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `Totals by ${what}` },
      el("table", null, el("caption", null, `By ${what}`), head, body), rest > 0 && el("p", { class: "quiet" }, `and ${count(rest, `more ${what}`)}`));
  });
}

function pairs(title, found) {
  return Object.keys(found).length > 0 && el("section", null, el("h3", null, title), facts(Object.entries(found)));
}

// ---- the pages

function showRun(focus) {
  Object.assign(state, { test: null, timeline: null, span: null });
  document.title = "crewAI traces";
  document.body.classList.remove("in-test");
  const { run } = state;
  const skipped = run.skipped.length > 0 && el("section", null, el("h3", null, `${count(run.skipped.length, "file")} skipped`), el("ul", null, run.skipped.slice(0, 200).map(([path, why]) => el("li", null, `${path}: ${why}`))));
  at("page").replaceChildren(
    el("h2", { tabindex: "-1" }, "The whole run"),
    ...totals(run.totals),
    ...run.runs.map((one) => pairs(one.name, one.facts)).filter(Boolean),
    ...(skipped ? [skipped] : []),
  );
  state.rows.render(true);
  if (focus) at("tests").focus();
}

function showSpan(span, read = false) {
  state.span = span;
  const head = el("h3", { tabindex: "-1" }, `${span.kind.replaceAll("_", " ")} ${span.name}`);
  at("span").replaceChildren(head, ...details(span, state.timeline.trace));
  at("span").scrollTop = 0;
  const where = (state.where = `#${state.test.key}/${span.id}`);
  if (location.hash !== where) history.replaceState(null, "", where);
  if (read) head.focus();
}

function jump() {
  const { failing } = state.timeline?.trace ?? { failing: [] };
  if (failing.length === 0) return;
  state.failing = (state.failing + 1) % failing.length;
  state.timeline.show(failing[state.failing]);
  state.timeline.box.focus();
}

// The next test of the list, or the one before.
function step(by) {
  const next = state.rows.items[state.rows.items.indexOf(state.test) + by];
  if (next !== undefined) go(next.key);
}

// What a failure said, with the lines of a diff in colour.
function failed(text) {
  const kinds = { "+": "new", "-": "gone" };
  const shown = text.length > MOST_TEXT ? [text] : text.split(/(?<=\n)/).map((line) => {
    const kind = /^ {0,2}[+-] /.test(line) ? kinds[line.trim()[0]] : null;
    return kind ? el("span", { class: kind }, line) : line;
  });
  return shown.length > 1 ? el("pre", { class: "diff" }, shown) : long(text);
}

function compared({ with: earlier, sentences, lines }) {
  const kinds = { "+": "new", "-": "gone" };
  const shown = lines.map((line) => el("span", { class: kinds[line[0]] ?? null }, `${line}\n`));
  const told = sentences.length > 0 ? el("ul", null, sentences.map((sentence) => el("li", null, sentence))) : el("p", null, "The same behaviour.");
  return folded(`Compared with ${earlier}`, () => (lines.length > 0 ? [told, el("pre", { class: "diff" }, shown)] : [told]));
}

async function showTest(test, number, focus) {
  if (state.test !== test) {
    Object.assign(state, { test, timeline: null, span: null, failing: -1 });
    document.title = visible(`${test.outcome}: ${test.id}`);
    document.body.classList.add("in-test");
    state.rows.render(true);
    const place = state.rows.items.indexOf(test);
    if (place >= 0) state.rows.activate(place, false);
    at("page").replaceChildren(el("p", { role: "status" }, "Opening…"));
    let trace;
    try {
      trace = grown(await unpacked(`trace-${test.place}`));
    } catch (error) {
      at("page").replaceChildren(el("p", { role: "alert" }, `This trace cannot be read: ${error}`));
      return;
    }
    if (state.test !== test) return; // somebody went on while it was unpacked
    draw(test, trace);
  }
  const wanted = number ?? state.timeline.trace.failing[0];
  if (number === undefined) state.failing = 0;
  if (state.timeline.trace.spans[wanted] !== undefined && state.span?.id !== wanted) state.timeline.show(wanted);
  if (focus) at("page").querySelector("h2").focus();
}

function draw(test, trace) {
  const timeline = (state.timeline = new Timeline(trace, showSpan));
  const button = (text, onclick) => el("button", { type: "button", onclick }, text);
  const facing = el("div", { id: "bench" },
    el("section", { class: "timeline", "aria-label": "Timeline" }, timeline.scale(), timeline.box),
    el("section", { id: "span", "aria-label": "Span", tabindex: "-1" }, el("p", { class: "quiet" }, "Choose a span to read what it did.")));
  const failing = trace.failing.length;
  at("page").replaceChildren(
    ...[
      el("button", { type: "button", class: "back", onclick: () => go("") }, "‹ All tests"),
      el("h2", { tabindex: "-1" }, badge(test.outcome), el("span", { class: "name" }, test.id)),
      facts([
        ["Which", attemptOf(test)],
        ["Worker", test.worker],
        ["Time", seconds(test.seconds)],
        ["LLM calls", String(test.sum.requests)],
        ["Tokens", tokens(test.sum)],
        ["Cost", cost(test.sum)],
        ["Spans", trace.spans.length.toLocaleString("en")],
        ["CrewAI AMP", test.page && el("a", { href: test.page, target: "_blank", rel: "noopener noreferrer" }, "open its page")],
        ...Object.entries(test.durations).map(([phase, took]) => [phase, seconds(took)]),
        ["before the first span", trace.spans.length > 0 && trace.begin >= 0.1 ? seconds(trace.begin) : null],
      ]),
      ...trace.incomplete.map((reason) => el("p", { class: "warning" }, `Incomplete: ${reason}`)),
      trace.message && el("section", { class: "error scroll", tabindex: "0", "aria-label": "What the test said" }, failed(trace.message)),
      trace.compared && compared(trace.compared),
      el("div", { class: "tools" },
        failing > 0 && button(failing > 1 ? `Next of ${failing} places where it failed` : "Where it failed", jump),
        button("Expand all", () => timeline.foldAll(true)), button("Collapse all", () => timeline.foldAll(false))),
      facing,
      folded("Totals by agent, task, tool and model", () => totals(trace.totals)),
      trace.events.length > 0 && folded(count(trace.events.length, "event") + " outside every span", () => el("ol", { class: "events" }, trace.events.map((event) => happened(event, trace.begin)))),
    ].filter(Boolean),
  );
  timeline.rows.render(true);
}

// ---- ways around

// Shown at once, as the next key may be pressed before the browser tells of the new address.
function go(where) {
  location.hash = where;
  route(true);
}

function route(focus) {
  state.where = location.hash;
  const [key, span] = location.hash.slice(1).split("/");
  const test = state.run.tests.find((one) => one.key === key);
  if (test === undefined) showRun(focus && state.test !== null);
  else showTest(test, span === undefined ? undefined : Number(span), focus);
}

function pressed(event) {
  if (event.altKey || event.ctrlKey || event.metaKey) return;
  const typing = event.target.closest?.("input, select") !== null;
  if (event.key === "Escape") {
    if (event.target.closest?.("#span")) state.timeline.box.focus();
    else if (state.test !== null && !typing) go("");
    else at("tests").focus();
  } else if (typing) return;
  else if (event.key === "/") at("search").focus();
  else if (event.key === "f") jump();
  else if (event.key === "n") step(1);
  else if (event.key === "p") step(-1);
  else return;
  event.preventDefault();
}

function summary({ tests, sum }) {
  const bad = tests.filter((test) => test.bad).length;
  return [count(tests.length, "test"), bad > 0 ? `${bad} failed` : "none failed", count(sum.requests, "LLM call"), tokens(sum), cost(sum)].filter(Boolean).join(" · ");
}

async function begin() {
  if (typeof DecompressionStream === "undefined") throw new Error("this browser cannot unpack gzip (DecompressionStream); one from 2023 or later can");
  const run = (state.run = await unpacked("run"));
  for (const test of run.tests) test.text = [test.id, test.outcome, test.message, ...test.names].join(" ").toLowerCase();
  at("summary").textContent = visible(summary(run));
  const outcomes = new Map();
  for (const { outcome } of run.tests) outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  at("outcomes").replaceChildren(...[...outcomes].map(outcomeButton));
  state.rows = new Rows(at("tests"), { draw: listRow, choose: (test) => go(test.key) });
  at("search").addEventListener("input", filter);
  at("search").addEventListener("keydown", (event) => event.key === "ArrowDown" && at("tests").focus());
  at("order").addEventListener("change", filter);
  at("tests").addEventListener("focus", () => state.rows.enter());
  document.addEventListener("keydown", pressed);
  addEventListener("hashchange", () => location.hash !== state.where && route(true));
  filter();
  route(false);
  if (state.test === null && run.tests.length === 1) go(run.tests[0].key);
}

begin().catch((error) => at("page").replaceChildren(el("p", { role: "alert" }, `The traces cannot be shown: ${error.message}`)));
