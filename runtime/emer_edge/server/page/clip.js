// A clip: chosen or dropped, asked about, played, and shown moment by moment.

import { $, notice, percent, told } from "/page/dom.js";
import { addText, clearResults, setText, showAffect, showClues, showEmotions, showFacts, showStage } from "/page/results.js";
import { events, request } from "/page/server.js";
import { ClipTimeline } from "/page/timeline.js";

const STAGES = { perceive: "Looking and listening", prefill: "Thinking", generate: "Writing" };
const TRIES = 5;

const player = $("player");
let clip = null;
let subtitle = null;
let asking = null;
let timeline = null;
let stopAt = null;

export function openClipMode() {
  player.srcObject = null;
  player.muted = false;
  player.controls = Boolean(clip);
  $("drop").hidden = Boolean(clip);
  $("file-row").hidden = !clip;
  $("words-label").textContent = "What is said";
  $("words").placeholder = "optional: the words, or drop a subtitle";
  $("go").textContent = "Ask";
  $("go").disabled = false;
  if (clip) take([clip, subtitle].filter(Boolean), false);
  else $("timeline").hidden = true;
}

export function closeClipMode() {
  asking?.abort();
  player.pause();
  player.removeAttribute("src");
  player.load();
  player.controls = false;
  $("drop").hidden = true;
  $("file-row").hidden = true;
}

/** Files that were chosen or dropped: a clip, a subtitle, or both. */
export function take(files, ask = true) {
  const isText = (file) => /\.(srt|vtt|txt)$/i.test(file.name);
  const [words, clips] = [files.filter(isText), files.filter((file) => !isText(file))];
  if (clips.length) {
    clip = clips[0];
    subtitle = null;
    player.src = URL.createObjectURL(clip);
    player.controls = true;
    $("drop").hidden = true;
    $("file-row").hidden = false;
    $("file-name").textContent = clip.name;
    [...player.textTracks].forEach((track) => { track.mode = "disabled"; });
    timeline = new ClipTimeline(player, seek);
    timeline.wave(clip);
  }
  if (words.length) subtitle = words[0];
  $("file-note").textContent = subtitle ? `with ${subtitle.name}` : "";
  if (clip && ask) askNow();
  else if (!clip) notice("That is a subtitle: drop the clip too.", true);
}

export function forget() {
  asking?.abort();
  clip = subtitle = null;
  $("file").value = "";
  player.removeAttribute("src");
  player.load();
  openClipMode();
  clearResults("Nothing asked yet");
  showStage("");
  $("file").focus();
}

export async function askNow() {
  if (!clip) {
    $("file").focus();
    return;
  }
  asking?.abort();
  asking = new AbortController();
  const { signal } = asking;
  const form = new FormData();
  form.append("clip", clip, clip.name);
  if ($("question").value.trim()) form.append("question", $("question").value.trim());
  if ($("words").value.trim()) form.append("subtitle", $("words").value.trim());
  else if (subtitle) form.append("subtitle", subtitle, subtitle.name);
  notice("");
  clearResults("…");
  showStage("Sending");
  try {
    for await (const event of events(await send(form, signal))) {
      if (signal.aborted) return;
      show(event);
    }
  } catch (error) {
    if (signal.aborted) return;
    fail(error.told || { what: "The server can't be reached.", why: error.message });
  }
}

/** Send, and come again where every place is taken. */
async function send(form, signal) {
  for (let n = 1; ; n += 1) {
    try {
      return await request("/v1/emotion", { method: "POST", body: form, signal, headers: { accept: "text/event-stream" } });
    } catch (error) {
      if (error.status !== 503 || n === TRIES) throw error;
      showStage(`Busy, again in ${error.retrySeconds} s`);
      await new Promise((resolve) => setTimeout(resolve, 1000 * error.retrySeconds));
      if (signal.aborted) throw error;
    }
  }
}

let frameSeconds = [];

function show(event) {
  switch (event.kind) {
    case "queued": showStage(event.ahead > 0 ? `Waiting behind ${event.ahead}` : "Starting"); break;
    case "stage": showStage(STAGES[event.stage] || event.stage); break;
    case "used": frameSeconds = event.used.frame_seconds; break;
    case "labels": showEmotions(event.emotions); break;
    case "text": addText(event.text); break;
    case "done": finish(event); break;
    case "error": fail(event.error); break;
  }
}

function fail(error) {
  showStage("");
  clearResults("No answer");
  notice(told(error));
}

function finish(event) {
  const { reasoning } = event;
  showStage(`${reasoning.timings.total.toFixed(reasoning.timings.total < 9.95 ? 2 : 0)} s`, false);
  showEmotions(reasoning.emotions, reasoning.scores);
  showAffect(event.affect);
  setText(reasoning.text || "Only labels were asked for.");
  showClues(reasoning.text, reasoning.clues, event.moments, goTo);
  timeline.show({ ...event, frameSeconds });
  caption(event.cues);
  const { used } = reasoning;
  const senses = { vision: `${used.faces || used.frames} pictures`, audio: `${used.audio_seconds.toFixed(1)} s of sound`, subtitle: "the words" };
  const facts = [`Rests on ${used.modalities.map((name) => senses[name]).join(", ")}.`];
  if (reasoning.alone.length > 1) facts.push(`By itself: ${reasoning.alone.map(shows).join(", ")}.`);
  if (used.missing.length) facts.push(`Missing: ${used.missing.join("; ")}.`);
  showFacts(facts.join(" "));
}

const shows = (one) => `${{ vision: "the face", audio: "the voice", subtitle: "the words" }[one.modality]} ${one.label} ${percent(one.confidence)}`;

/** The cues as captions of the player. */
function caption(cues) {
  [...player.textTracks].forEach((track) => { track.mode = "disabled"; });
  const timed = cues.filter((cue) => cue.end_seconds > cue.start_seconds);
  if (!timed.length) return;
  const track = player.addTextTrack("captions", "What is said");
  timed.forEach((cue) => track.addCue(new VTTCue(cue.start_seconds, cue.end_seconds, cue.text)));
  track.mode = "showing";
}

function seek(seconds) {
  stopAt = null;
  player.currentTime = seconds;
}

/** Play a clue's moment, and stop at its end. */
function goTo(moment) {
  player.currentTime = moment.at_seconds;
  timeline.mark(moment);
  stopAt = moment.end_seconds > moment.at_seconds ? moment.end_seconds : null;
  player.play().catch(() => { /* a browser that does not play still shows the picture */ });
}

player.addEventListener("timeupdate", () => {
  if (stopAt !== null && player.currentTime >= stopAt) {
    stopAt = null;
    player.pause();
  }
});
player.addEventListener("error", () => {
  if (clip && player.getAttribute("src")) {
    $("file-note").textContent = "This browser can't play it; the server may still read it.";
  }
});

const screen = $("screen");
["dragenter", "dragover"].forEach((name) => screen.addEventListener(name, (event) => {
  event.preventDefault();
  screen.classList.add("over");
}));
["dragleave", "drop"].forEach((name) => screen.addEventListener(name, () => screen.classList.remove("over")));
export const onDrop = (open) => ["dragover", "drop"].forEach((name) => document.addEventListener(name, (event) => {
  event.preventDefault();
  if (name === "drop" && event.dataTransfer.files.length) open([...event.dataTransfer.files]);
}));
