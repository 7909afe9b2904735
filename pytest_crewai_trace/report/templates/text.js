"use strict";
// All that a trace says is hostile: it comes into the page as text, and through these functions only.

const INVISIBLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]/gu;

// What one would not see, or what turns the text around it, is shown escaped.
function visible(text) {
  return String(text).replace(/\r\n/g, "\n").replace(INVISIBLE, (found) => {
    if (found === "\n" || found === "\t") return found;
    if (found === "\r") return "\\r";
    const code = found.codePointAt(0);
    const [mark, digits] = code < 0x100 ? ["\\x", 2] : code < 0x10000 ? ["\\u", 4] : ["\\U", 8];
    return mark + code.toString(16).padStart(digits, "0");
  });
}

// An element; a child that is no element becomes visible text, one that is null or false is left out.
function el(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (name === "onclick") made.addEventListener("click", value);
    else if (value !== null && value !== false) made.setAttribute(name, value === true ? "" : visible(value));
  }
  for (const child of children.flat()) {
    if (child !== null && child !== undefined && child !== false) {
      made.append(child instanceof Element ? child : visible(child));
    }
  }
  return made;
}

function count(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}

function seconds(value) {
  if (value === null || value === undefined) return "did not end";
  if (value > 0 && value < 0.00995) return `${(value * 1000).toFixed(1)} ms`;
  if (value < 0.9995) return `${Math.round(value * 1000)} ms`;
  if (value < 59.995) return `${value.toFixed(2)} s`;
  const whole = Math.round(value);
  return `${Math.floor(whole / 60)} min${whole % 60 ? ` ${whole % 60} s` : ""}`;
}

// Round moments from 0 to the end of a scale, about five.
function moments(end) {
  if (!(end > 0)) return [0];
  const power = 10 ** Math.floor(Math.log10(end / 6));
  const steps = end < 60 ? [1, 2, 5, 10].map((times) => times * power) : [20, 30, 60, 120, 300, 600, 1200, 1800, 3600];
  const step = steps.find((one) => one >= end / (end < 60 ? 6 : 4)) ?? Math.ceil(end / 14400) * 3600;
  return Array.from({ length: Math.floor(end / step) + 1 }, (_, place) => place * step);
}

// Dollars, with two digits that say something.
function dollars(value) {
  const digits = value > 0 && value < 0.1 ? 1 - Math.floor(Math.log10(value)) : 2;
  return `$${value.toFixed(Math.min(digits, 12))}`;
}

function cost(sum) {
  if (sum.requests === 0) return null;
  if (sum.unpriced === sum.requests) return "no price known";
  return dollars(sum.cost) + (sum.unpriced ? ` and ${count(sum.unpriced, "call")} without a price` : "");
}

function tokens(sum) {
  if (sum.requests === 0) return null;
  return count(sum.input + sum.output, "token") + (sum.unreported ? ` (${count(sum.unreported, "call")} did not say)` : "");
}

// A part of the data, packed in the page as gzip in base64.
async function unpacked(id) {
  const packed = atob(JSON.parse(document.getElementById(id).textContent));
  const bytes = new Uint8Array(packed.length);
  for (let place = 0; place < packed.length; place += 1) bytes[place] = packed.charCodeAt(place);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}
