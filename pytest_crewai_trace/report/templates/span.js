// One span: all that is known of it, and the conversation of a call of a model.

const MOST_TEXT = 20_000;
const MOST_ITEMS = 100;
const TEXTS = {
  available_tools: "Tools at hand",
  call_type: "Kind of call",
  mcp_server: "MCP server",
  output_data: "Output as data",
  params: "Parameters",
  parameters: "Parameters",
  tool_definitions: "Tools that were offered",
};
// Words, not texts: they stand among the numbers.
const WORDS = new Set(["call_type", "flow_name", "guardrail_type", "mcp_server", "metric", "operation", "output_format", "transport"]);
// Long, and rarely what one looks for.
const FOLDED = { tool_definitions: "tool", available_tools: "tool" };
// Shown in a place of their own, or of no interest to a reader.
const OWN_PLACE = new Set([
  ...["kind", "id", "parent_id", "name", "status", "error", "start", "end", "agent_role", "task_name", "events", "origin"],
  ...["messages", "response", "requested_tool_calls", "reported_usage", "response_id", "model", "chunks"],
  ...["time_to_first_chunk", "finish_reason"],
  ...["sum", "inside", "depth"], // of ``grown``
]);

function titled(name) {
  const words = name.replaceAll("_", " ");
  return TEXTS[name] ?? words[0].toUpperCase() + words.slice(1);
}

// A part that is made when somebody opens it.
function folded(summary, make) {
  const made = el("details", null, el("summary", null, summary));
  made.addEventListener("toggle", () => made.childElementCount === 1 && made.append(...[make()].flat()), { once: true });
  return made;
}

function long(text) {
  const shown = el("pre", null, text.slice(0, MOST_TEXT));
  if (text.length <= MOST_TEXT) return shown;
  const more = el("button", { type: "button" }, `Show all ${text.length.toLocaleString("en")} characters`);
  more.addEventListener("click", () => {
    shown.textContent = visible(text);
    more.remove();
  });
  return el("div", null, shown, more);
}

// Any value of a trace.
function value(given, depth = 0) {
  if (given === undefined) return el("p", { class: "quiet" }, "nothing");
  if (typeof given === "string") return given === "" ? el("p", { class: "quiet" }, "empty text") : long(given);
  if (given === null || typeof given !== "object") return el("pre", { class: "atom" }, JSON.stringify(given));
  const entries = Object.entries(given);
  if (entries.length === 0) return el("p", { class: "quiet" }, Array.isArray(given) ? "empty list" : "nothing");
  if (depth > 3) return long(JSON.stringify(given, null, 2));
  return listed(entries, 0, depth);
}

function listed(entries, from, depth) {
  const items = entries.slice(from, from + MOST_ITEMS).map(([name, item]) => [el("dt", null, name), el("dd", null, value(item, depth + 1))]);
  const list = el("dl", { class: "value" }, items.flat());
  const rest = entries.length - from - MOST_ITEMS;
  return rest > 0 ? el("div", null, list, folded(`${count(rest, "more item")}`, () => listed(entries, from + MOST_ITEMS, depth))) : list;
}

function part(title, ...content) {
  return el("section", null, el("h4", null, title), ...content);
}

// The messages of a call; the first ``shared`` were part of an earlier call.
function conversation(pool, number) {
  const links = [];
  for (let at = number; at !== undefined; at = pool[at].base) links.push(pool[at]);
  let wanted = (pool[number].shared ?? 0) + pool[number].tail.length;
  const parts = [];
  for (const { shared = 0, tail } of links) {
    if (wanted > shared) {
      parts.unshift(tail.slice(0, wanted - shared));
      wanted = shared;
    }
  }
  return { messages: parts.flat(), shared: pool[number].shared ?? 0 };
}

function called(name, given) {
  return el("div", { class: "call" }, el("p", null, "calls ", el("b", null, name)), value(given ?? {}));
}

function message({ role, content, tool_calls: calls, ...rest }) {
  const said = [];
  if (Array.isArray(content)) {
    said.push(...content.map((piece) => value(piece !== null && typeof piece === "object" && typeof piece.text === "string" ? piece.text : piece)));
  } else if (content !== null && content !== undefined && content !== "") said.push(value(content));
  for (const call of Array.isArray(calls) ? calls : []) said.push(called(call?.function?.name ?? call?.name ?? "?", parsed(call?.function?.arguments ?? call?.arguments)));
  if (said.length === 0) said.push(value(content));
  if (Object.keys(rest).length > 0) said.push(folded(Object.keys(rest).join(", ").slice(0, 100), () => value(rest)));
  const who = typeof role === "string" ? role : "?";
  const kind = ["system", "user", "assistant", "tool"].includes(who) ? who : "other";
  return el("li", { class: `message ${kind}` }, el("h5", null, who), ...said);
}

// Arguments that a provider wrote as JSON in a text.
function parsed(text) {
  try {
    return typeof text === "string" ? JSON.parse(text) : text;
  } catch {
    return text;
  }
}

function talk(span, pool) {
  const { messages, shared } = conversation(pool, span.messages ?? 0);
  const parts = [];
  if (shared > 0) {
    const earlier = () => el("ol", { class: "talk" }, messages.slice(0, shared).map(message));
    parts.push(folded(`${count(shared, "message")} that an earlier call had too`, earlier));
  }
  const calls = span.requested_tool_calls ?? [];
  const answered = span.response !== undefined || calls.length > 0;
  const answer = el("li", { class: "message answer" }, el("h5", null, "answer"));
  if (span.response !== undefined && span.response !== null) answer.append(value(span.response));
  answer.append(...calls.map((call) => called(call.name, call.arguments)));
  parts.push(el("ol", { class: "talk" }, messages.slice(shared).map(message), answered && answer));
  return part("Conversation", ...parts);
}

function facts(pairs) {
  const shown = pairs.filter(([, fact]) => fact !== null && fact !== undefined && fact !== "");
  return el("dl", { class: "facts" }, shown.map(([name, fact]) => el("div", null, el("dt", null, name), el("dd", null, fact))));
}

function usage(sum) {
  if (sum.requests === 0) return [];
  const of = (number) => (number > 0 ? number.toLocaleString("en") : null);
  return [
    ["Tokens", tokens(sum)],
    ["Input", of(sum.input)],
    ["Output", of(sum.output)],
    ["Read from cache", of(sum.cached)],
    ["Written to cache", of(sum.written)],
    ["Reasoning", of(sum.reasoning)],
    ["Cost", cost(sum)],
  ];
}

function failure(error) {
  const said = [error.type, error.message].filter(Boolean).join(": ") || "it failed";
  const trace = error.traceback && folded("Traceback", () => long(error.traceback));
  return el("section", { class: "error" }, el("h4", null, "Error"), long(said), trace || null);
}

function happened(event, begin) {
  const note = event.note ? ` - ${event.note}` : "";
  const said = el("p", null, `${seconds(Math.max(0, (event.time ?? 0) - begin))}: ${event.name}${note}`);
  return el("li", null, said, event.attributes && value(event.attributes));
}

// The whole panel of a span.
function details(span, trace) {
  const rest = Object.entries(span).filter(([name]) => !OWN_PLACE.has(name));
  const flat = ([name, fact]) => typeof fact === "number" || typeof fact === "boolean" || (WORDS.has(name) && typeof fact === "string" && fact.length < 100);
  const chunks = span.chunks ? `${count(span.chunks, "chunk")}, the first after ${seconds(span.time_to_first_chunk ?? 0)}` : null;
  return [
    facts([
      ["Status", span.status === "error" ? "failed" : span.end === undefined ? "did not end" : "ok"],
      ["Agent", span.kind === "agent" ? null : span.agent_role],
      ["Task", span.kind === "task" ? null : span.task_name],
      ["Model", span.model],
      ["Began after", seconds((span.start ?? 0) - trace.begin)],
      ["Took", span.end === undefined ? null : seconds(span.end - (span.start ?? 0))],
      ["LLM calls", span.kind === "llm" || span.sum.requests === 0 ? null : String(span.sum.requests)],
      ...usage(span.sum),
      ["Streamed", chunks],
      ["Finish reason", span.finish_reason],
      ...rest.filter(flat).map(([name, fact]) => [titled(name), String(fact)]),
    ]),
    span.error && failure(span.error),
    span.kind === "llm" && talk(span, trace.messages),
    ...rest.filter((pair) => !flat(pair)).map(([name, given]) =>
      part(titled(name), name in FOLDED && given.length > 0 ? folded(count(given.length, FOLDED[name]), () => value(given)) : value(given)),
    ),
    span.events && part("Events", el("ol", { class: "events" }, span.events.map((event) => happened(event, trace.begin)))),
  ].filter(Boolean);
}
