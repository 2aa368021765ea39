// Keeps the page honest about how fresh it is: the badge, the fallback to polling, and the ages of moments.
// The stream itself, its reconnection and the swap of its HTML are htmx's and its extension's.
"use strict";
(() => {
  const BEAT_LOST_MS = 12000; // the server beats every 4 s: three lost ones mean that nothing comes through
  const POLL_MS = 5000;
  const region = document.getElementById("live");
  const badge = document.getElementById("link");
  if (!region || !badge || !window.htmx) return;
  let heard = Date.now();
  let polled = 0;
  let state = "still";

  const clock = (ms) => new Date(ms).toISOString().slice(11, 19);
  const show = (next, text) => {
    if (badge.textContent !== text) badge.textContent = text;
    if (state !== next) badge.dataset.state = state = next;
  };
  const alive = () => { heard = Date.now(); show("live", "live"); };
  const lost = () => { if (!document.hidden) show("wait", "reconnecting"); };

  async function poll() {
    polled = Date.now();
    let answer;
    try {
      answer = await fetch(region.dataset.fragment, { cache: "no-store", headers: { "HX-Request": "true" } });
    } catch {
      return show("stale", `no answer, as of ${clock(heard)} UTC`);
    }
    if (answer.status === 401 || answer.status === 403) return show("stale", "signed out, open a new login address");
    if (!answer.ok) return show("stale", `no answer, as of ${clock(heard)} UTC`);
    const html = await answer.text();
    if (state === "live") return;
    htmx.swap({ target: region, text: html, swap: "innerMorph" });
    heard = Date.now();
    show("poll", "updating every 5 s");
    region.dispatchEvent(new Event("reopen")); // does nothing while the stream is merely slow
  }

  function ages() {
    for (const moment of document.querySelectorAll("time[data-age]")) {
      const s = Math.max(0, (Date.now() - Date.parse(moment.dateTime)) / 1000);
      const [n, unit] = s >= 86400 ? [s / 86400, "d"] : s >= 3600 ? [s / 3600, "h"] : s >= 60 ? [s / 60, "min"] : [s, "s"];
      const text = s < 1 ? "just now" : `${Math.floor(n)} ${unit} ago`;
      if (moment.textContent !== text) moment.textContent = text;
    }
  }

  region.addEventListener("htmx:sse:after:connection", alive);
  region.addEventListener("htmx:sse:after:message", alive);
  region.addEventListener("htmx:sse:error", lost);
  region.addEventListener("htmx:sse:close", lost);
  region.addEventListener("htmx:error", lost);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) heard = Math.max(heard, Date.now() - BEAT_LOST_MS + 3000); });
  setInterval(() => {
    ages();
    if (document.hidden) return;
    const quiet = Date.now() - heard;
    if (state !== "live" && Date.now() - polled >= POLL_MS && quiet >= POLL_MS) poll();
    else if (state === "live" && quiet >= BEAT_LOST_MS) lost();
  }, 1000);
})();
