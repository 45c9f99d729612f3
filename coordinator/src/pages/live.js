// Brings what is shown anew while somebody looks, and times into the reader's clock.
"use strict";

const EVERY_MS = 2000;

function localTimes() {
  for (const time of document.querySelectorAll("time")) {
    const at = new Date(time.dateTime);
    if (!Number.isNaN(at.valueOf())) time.textContent = at.toLocaleString();
  }
}

async function refresh() {
  // Nobody looks, or a button has the focus, which a new page would take away.
  if (document.hidden || document.activeElement?.closest("main form, main a")) return;
  const answer = await fetch(location.href, { credentials: "same-origin" });
  // Logged out, or gone. Anything else passes, and a page that says so would never be brought anew.
  if (answer.status === 401 || answer.status === 403 || answer.status === 404) return location.reload();
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  document.querySelector("main").replaceWith(page.querySelector("main"));
  localTimes();
}

document.addEventListener("submit", (event) => {
  if (!event.submitter?.classList.contains("cancel")) return;
  if (!confirm("A cancelled audit never runs again. Cancel it?")) event.preventDefault();
});

localTimes();
setInterval(() => refresh().catch(() => {}), EVERY_MS);
