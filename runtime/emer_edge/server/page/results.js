// Shows labels, the valence-arousal plane and the reasoning with its clues. Knows no source.

import { $, clock, draw, make, percent } from "/page/dom.js";

const SENSES = { face: "Face", voice: "Voice", words: "Words", scene: "Scene" };
const BASES = {
  cue: "the subtitle that it quotes",
  speech: "while somebody speaks",
  sound: "the whole sound",
  frames: "from the first to the last picture that was looked at",
  clip: "the whole clip",
  window: "the window that was looked at",
};
const TRAIL = 30;

let places = {};
let trail = [];

export function usePack(pack) {
  places = pack.affect || {};
  showAffect(null);
}

export function clearResults(text) {
  trail = [];
  $("headline").replaceChildren(make("span", { className: "quiet", textContent: text }));
  $("bars").replaceChildren();
  $("text").replaceChildren();
  $("clues").replaceChildren();
  $("facts").textContent = "";
  showAffect(null);
}

export function showStage(text, busy = true) {
  $("stagename").textContent = text;
  $("stagename").classList.toggle("busy", Boolean(text) && busy);
}

export function showEmotions(emotions, scores = {}) {
  const names = emotions.filter((e) => e.source !== "text" || e.confidence !== null).map((e) => e.label);
  const first = emotions[0];
  if (first) {
    const parts = [first.label[0].toUpperCase() + first.label.slice(1)];
    if (first.confidence !== null) parts.push(make("span", { className: "share", textContent: percent(first.confidence) }));
    $("headline").replaceChildren(...parts);
  }
  const known = Object.keys(scores).length ? scores : Object.fromEntries(emotions.map((e) => [e.label, e.confidence || 0]));
  const rows = Object.entries(known).sort((a, b) => b[1] - a[1]);
  const list = $("bars");
  const old = Object.fromEntries([...list.children].map((row) => [row.dataset.label, row]));
  list.replaceChildren(...rows.map(([label, share]) => bar(old[label], label, share, names.includes(label))));
}

function bar(row, label, share, isTold) {
  if (!row) {
    row = make("li", {}, make("span", { className: "name", textContent: label, title: label }),
      make("span", { className: "bar", "aria-hidden": "true" }, make("i")), make("span", { className: "share" }));
    row.dataset.label = label;
    row.querySelector("i").style.width = "0";
  }
  row.classList.toggle("told", isTold);
  row.querySelector(".share").textContent = percent(share);
  // After the row stands, so that the bar grows from where it was.
  requestAnimationFrame(() => { row.querySelector("i").style.width = `${(100 * share).toFixed(2)}%`; });
  return row;
}

const X = (valence) => 118 + 88 * valence;
const Y = (arousal) => 102 - 88 * arousal;

/** The point on the plane; a trail of the last ones where `live`. */
export function showAffect(affect, live = false) {
  const box = $("plane");
  if (!box.firstChild) box.append(plane());
  const [dot, line] = [box.querySelector(".dot"), box.querySelector(".trail")];
  dot.setAttribute("visibility", affect ? "visible" : "hidden");
  if (!affect) {
    box.querySelector("svg").replaceWith(plane());
    $("reading").textContent = "";
    return;
  }
  trail = live ? [...trail, affect].slice(-TRAIL) : [affect];
  dot.setAttribute("cx", X(affect.valence));
  dot.setAttribute("cy", Y(affect.arousal));
  for (const place of box.querySelectorAll(".place")) {
    const far = Math.hypot(place.dataset.x - X(affect.valence), place.dataset.y - Y(affect.arousal)) > 16;
    place.classList.toggle("near", !far);
  }
  line.setAttribute("points", trail.map((at) => `${X(at.valence)},${Y(at.arousal)}`).join(" "));
  const reading = `valence ${signed(affect.valence)}, arousal ${signed(affect.arousal)}`;
  $("reading").textContent = reading;
  box.querySelector("svg").setAttribute("aria-label", `Plane of valence and arousal: ${reading}`);
}

const signed = (value) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(2)}`;

function plane() {
  const svg = draw("svg", { viewBox: "0 0 220 222", role: "img", "aria-label": "Plane of valence and arousal, without a point yet" });
  svg.append(
    draw("rect", { class: "edge", x: 20, y: 4, width: 196, height: 196, rx: 12 }),
    draw("path", { class: "axis", d: `M20 ${Y(0)}H216M${X(0)} 4V200` }),
    draw("text", { class: "end start", x: 20, y: 214 }, "unpleasant"), draw("text", { class: "end stop", x: 216, y: 214 }, "pleasant"),
    draw("text", { class: "end start", transform: "translate(12 200) rotate(-90)" }, "low arousal"),
    draw("text", { class: "end stop", transform: "translate(12 4) rotate(-90)" }, "high arousal"));
  const taken = [];
  for (const [label, [valence, arousal]] of Object.entries(places)) {
    if (!valence && !arousal) continue;
    const [x, at] = [X(valence), Y(arousal)];
    // Labels whose places lie close together would cover each other.
    let y = at + 10;
    while (taken.some((other) => Math.abs(other[0] - x) < 46 && Math.abs(other[1] - y) < 9)) y += 9;
    taken.push([x, y]);
    const place = draw("g", { class: "place", "data-x": x, "data-y": at });
    place.append(draw("circle", { cx: x, cy: at, r: 2 }), draw("text", { x: Math.min(190, Math.max(46, x)), y }, label));
    svg.append(place);
  }
  svg.append(draw("polyline", { class: "trail" }), draw("circle", { class: "dot", r: 7, cx: X(0), cy: Y(0), visibility: "hidden" }));
  return svg;
}

export function addText(piece) {
  if ($("text").querySelector(".quiet")) $("text").replaceChildren();
  $("text").append(piece);
}

export function setText(text) {
  $("text").replaceChildren(text);
}

/** The clues as buttons; `go` is called with the moment of the one that is chosen. */
export function showClues(text, clues, moments, go) {
  markClues(text, clues);
  $("clues").replaceChildren(...clues.map((clue, index) => {
    const at = moments[index];
    const span = at.end_seconds > at.start_seconds ? `${clock(at.start_seconds)} – ${clock(at.end_seconds)}` : clock(at.at_seconds);
    const button = make("button", {
      type: "button", className: `clue ${clue.modality}`, "aria-pressed": "false", title: `Show ${BASES[at.basis] || ""}`,
      onclick: () => { choose(index); go(at); },
    }, make("b", { textContent: SENSES[clue.modality] || clue.modality }), make("span", { textContent: clue.text }),
    make("time", { textContent: span }));
    return make("li", {}, button);
  }));
}

function choose(index) {
  [...$("clues").querySelectorAll("button")].forEach((button, n) => button.setAttribute("aria-pressed", n === index));
  [...$("text").querySelectorAll("mark")].forEach((mark) => mark.classList.toggle("on", mark.dataset.clue === String(index)));
}

function markClues(text, clues) {
  const pieces = [];
  let at = 0;
  clues.forEach((clue, index) => {
    const found = text.indexOf(clue.text, at);
    if (found < 0) return;
    const mark = make("mark", { className: clue.modality, textContent: clue.text });
    mark.dataset.clue = index;
    pieces.push(text.slice(at, found), mark);
    at = found + clue.text.length;
  });
  $("text").replaceChildren(...pieces, text.slice(at));
}

export function showFacts(text) {
  $("facts").textContent = text;
}
