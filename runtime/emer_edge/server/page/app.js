// Puts the page together: what the server is, and which of the two sources is shown.

import { askNow, closeClipMode, forget, onDrop, openClipMode, take } from "/page/clip.js";
import { $, make, notice } from "/page/dom.js";
import { closeLiveMode, openLiveMode, start, submit, toggle } from "/page/live.js";
import { clearResults, showStage, usePack } from "/page/results.js";
import { request } from "/page/server.js";

const POLL_SECONDS = 5;
let mode = "clip";
let pack = null;

function setMode(wanted) {
  if (wanted === mode) return;
  (mode === "clip" ? closeClipMode : closeLiveMode)();
  mode = wanted;
  for (const name of ["clip", "live"]) $(`mode-${name}`).setAttribute("aria-pressed", name === mode);
  notice("");
  clearResults("Nothing asked yet");
  showStage("");
  (mode === "clip" ? openClipMode : openLiveMode)();
}

async function describe() {
  const { data } = await (await request("/v1/models")).json();
  if (!data.length) return;
  pack = data[0].emer;
  $("pack").textContent = `${pack.name} ${pack.version} on ${pack.device}`;
  $("questions").replaceChildren(...pack.questions.map((name) => make("option", { value: name })));
  usePack(pack);
}

async function poll() {
  const health = $("health");
  let [state, text] = ["bad", "Not reachable"];
  try {
    const { status } = await (await fetch("/health/ready")).json();
    [state, text] = { ready: ["ready", "Ready"], starting: ["", "Loading the pack…"], draining: ["bad", "Stopping"] }[status];
    if (!pack && status === "ready") await describe();
  } catch { /* said below */ }
  health.className = `health ${state}`;
  if (health.textContent !== text) health.textContent = text;
  setTimeout(poll, 1000 * (state === "ready" ? POLL_SECONDS : 1));
}

$("mode-clip").onclick = () => setMode("clip");
$("mode-live").onclick = () => setMode("live");
$("file").onchange = (event) => take([...event.target.files]);
$("other").onclick = forget;
$("start").onclick = start;
$("stop").onclick = toggle;
$("ask").onsubmit = (event) => {
  event.preventDefault();
  if (mode === "clip") askNow();
  else submit();
};
onDrop((files) => {
  setMode("clip");
  take(files);
});
poll();
