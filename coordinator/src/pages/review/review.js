// Marks by key and by button, saved as they are made; without it, the buttons alone do the same.
"use strict";

const RETRY_MS = 2000;

const form = document.querySelector("#suspects");
const items = [...form.querySelectorAll("li")];
const saved = document.querySelector("#saved");
const keys = document.querySelector("#keys");

const judgement = (item) => item.dataset.mark;
const number = (item) => item.id.slice(1);

// ---------------------------------------------------------------- where one is

let here = items.find((item) => `#${item.id}` === location.hash) ?? items[0];

function stand(item) {
  here?.classList.remove("here");
  here = item;
  here?.classList.add("here");
}

function go(item) {
  if (!item) return;
  stand(item);
  here.focus({ preventScroll: true });
  here.scrollIntoView({ block: "nearest" });
}

function step(by) {
  const next = items[items.indexOf(here) + by];
  if (next) return go(next);
  // Over the end of a page stands the next, once nothing is left to save.
  const link = document.querySelector(by > 0 ? "a[rel=next]" : "a[rel=prev]");
  if (link) settled().then(() => link.click());
}

// ---------------------------------------------------------------- marks

const waiting = new Map();
const done = [];
let saving = null;

function show(item, said) {
  item.dataset.mark = said;
  for (const button of item.querySelectorAll("button[aria-pressed]")) button.ariaPressed = String(button.name === said);
  item.querySelector("button.none").hidden = said === "";
  item.querySelector(".by").textContent = said;
}

function mark(item, said) {
  if (!form.querySelector("button") || judgement(item) === said) return;
  done.push([item, judgement(item)]);
  put(item, said);
}

function put(item, said) {
  show(item, said);
  waiting.set(number(item), said);
  saved.textContent = "Saving…";
  save();
}

function undo() {
  const last = done.pop();
  if (!last) return put(here, "");
  const [item, said] = last;
  put(item, said);
  go(item);
}

function body(marks) {
  const fields = new URLSearchParams();
  for (const name of ["form", "of"]) fields.set(name, form.elements[name].value);
  for (const [of, said] of marks) fields.append(said || "none", of);
  return fields;
}

// One request at a time, so that the last word about a suspect is also the last to arrive.
function save() {
  if (saving || waiting.size === 0) return;
  const marks = new Map(waiting);
  waiting.clear();
  saving = send(marks).then(
    (counts) => {
      for (const name of ["poison", "clean"]) document.querySelector(`#${name}`).textContent = counts[name].toLocaleString("en");
      return 0;
    },
    (error) => {
      for (const [of, said] of marks) if (!waiting.has(of)) waiting.set(of, said);
      saved.textContent = `Not saved: ${error.message} It is tried again.`;
      return RETRY_MS;
    },
  ).then((rest) => {
    saving = null;
    if (rest > 0) setTimeout(save, rest);
    else if (waiting.size > 0) save();
    else saved.textContent = "All marks are saved.";
  });
}

async function send(marks) {
  const headers = { accept: "application/json" };
  const answer = await fetch(form.action, { method: "POST", headers, body: body(marks), credentials: "same-origin", keepalive: true });
  if (answer.ok) return answer.json();
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  throw new Error(page.querySelector("main p")?.textContent ?? answer.statusText);
}

async function settled() {
  while (saving) await saving;
}

// ---------------------------------------------------------------- keys and buttons

const KEYS = {
  j: () => step(1),
  ArrowDown: () => step(1),
  k: () => step(-1),
  ArrowUp: () => step(-1),
  p: () => (mark(here, "poison"), step(1)),
  c: () => (mark(here, "clean"), step(1)),
  u: undo,
  "?": () => keys?.showModal(),
};

form.addEventListener("keydown", (event) => {
  const act = KEYS[event.key];
  if (!act || event.ctrlKey || event.metaKey || event.altKey || !here) return;
  event.preventDefault();
  act();
});

form.addEventListener("focusin", (event) => {
  const item = event.target.closest("li");
  if (item && item !== here) stand(item);
});

form.addEventListener("submit", (event) => {
  const button = event.submitter;
  if (!button) return;
  event.preventDefault();
  mark(button.closest("li"), button.name === "none" ? "" : button.name);
});

addEventListener("beforeunload", (event) => {
  if (saving || waiting.size > 0) event.preventDefault();
});

const help = document.querySelector("#help");
if (help) {
  help.hidden = false;
  help.addEventListener("click", () => keys.showModal());
}
for (const time of document.querySelectorAll("time")) time.textContent = new Date(time.dateTime).toLocaleString();

// The top of the page stays in sight, unless one comes back to a suspect.
if (location.hash) go(here);
else {
  stand(here);
  here?.focus({ preventScroll: true });
}
