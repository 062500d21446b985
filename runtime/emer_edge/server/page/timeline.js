// The timeline below the picture: of a clip (sound, words, faces) or of a live session (states, curves).

import { $, clock, draw, make } from "/page/dom.js";

const LIVE_SECONDS = 60;

const share = (seconds, from, length) => `${Math.min(100, Math.max(0, (100 * (seconds - from)) / length)).toFixed(3)}%`;

function lane(name, track) {
  return make("div", { className: "lane" }, make("span", { textContent: name }), track);
}

/** The timeline of a clip. `go` is called with seconds. */
export class ClipTimeline {
  constructor(player, go) {
    this.player = player;
    this.go = go;
    this.sound = make("div", { className: "track" });
    this.words = make("div", { className: "track" });
    this.faces = make("div", { className: "track" });
    this.head = make("div", { className: "playhead" });
    this.scale = make("div", { className: "scale" });
    this.lanes = [lane("Sound", this.sound), lane("Words", this.words), lane("Face", this.faces)];
    this.lanes.slice(1).forEach((one) => { one.hidden = true; });
    $("timeline").replaceChildren(...this.lanes, this.scale, this.head);
    $("timeline").hidden = false;
    this.sound.onclick = (event) => {
      const box = this.sound.getBoundingClientRect();
      go(this.length * (event.clientX - box.left) / box.width);
    };
    this.follow = () => {
      if (!this.head.isConnected) return;
      this.move();
      requestAnimationFrame(this.follow);
    };
    player.addEventListener("loadedmetadata", () => this.ticks(), { once: true });
    requestAnimationFrame(this.follow);
  }

  get length() {
    return Number.isFinite(this.player.duration) && this.player.duration > 0 ? this.player.duration : this.known || 1;
  }

  ticks() {
    this.scale.replaceChildren(...[0, 0.25, 0.5, 0.75, 1].map((part) => make("span", { textContent: clock(part * this.length) })));
  }

  move() {
    const [track, box] = [this.sound.getBoundingClientRect(), $("timeline").getBoundingClientRect()];
    this.head.style.left = `${track.left - box.left + track.width * Math.min(1, this.player.currentTime / this.length)}px`;
  }

  show(answer) {
    this.known = answer.reasoning.duration_seconds;
    this.ticks();
    const cues = answer.cues.filter((cue) => cue.end_seconds > cue.start_seconds);
    this.words.replaceChildren(...cues.map((cue) => {
      const button = make("button", {
        type: "button", className: "cue", textContent: cue.text, title: cue.text,
        "aria-label": `${clock(cue.start_seconds)}: ${cue.text}`, onclick: () => this.go(cue.start_seconds),
      });
      button.style.left = share(cue.start_seconds, 0, this.length);
      button.style.width = share(cue.end_seconds - cue.start_seconds, 0, this.length);
      return button;
    }));
    const times = answer.frameSeconds || [];
    this.faces.replaceChildren(...times.map((seconds, n) => {
      const button = make("button", {
        type: "button", className: "seen", title: clock(seconds), onclick: () => this.go(seconds),
        "aria-label": `Picture ${n + 1} of ${times.length} that was looked at, ${clock(seconds)}`,
      });
      button.style.left = share(Math.max(seconds, 0.012 * this.length), 0, this.length);
      return button;
    }));
    this.lanes[1].hidden = !cues.length;
    this.lanes[2].hidden = !times.length;
  }

  mark(moment) {
    $("timeline").querySelectorAll(".span").forEach((old) => old.remove());
    for (const track of [this.sound, this.words, this.faces]) {
      const span = make("i", { className: "span" });
      span.style.left = share(moment.start_seconds, 0, this.length);
      span.style.width = share(Math.max(moment.end_seconds - moment.start_seconds, 0.01 * this.length), 0, this.length);
      track.append(span);
    }
  }

  /** Loudness over time, decoded by the browser; a file that it can't decode keeps an empty lane. */
  async wave(file) {
    if (file.size > 64e6) return;
    try {
      const context = new OfflineAudioContext(1, 1, 16000);
      const sound = (await context.decodeAudioData(await file.arrayBuffer())).getChannelData(0);
      const canvas = make("canvas", { width: 900, height: 48 });
      const pen = canvas.getContext("2d");
      pen.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--voice");
      const step = sound.length / 300;
      const peaks = Array.from({ length: 300 }, (_, n) => {
        let peak = 0;
        for (let i = Math.floor(n * step); i < (n + 1) * step; i += 4) peak = Math.max(peak, Math.abs(sound[i] || 0));
        return peak;
      });
      const top = Math.max(...peaks, 0.01);
      peaks.forEach((peak, n) => pen.fillRect(3 * n, 24 - 21 * peak / top, 2, Math.max(1, 42 * peak / top)));
      this.sound.prepend(canvas);
    } catch { /* the server may well read what the browser can't */ }
  }
}

/** The last minute of a live session. `pick` is called with a state, or null to follow again. */
export class LiveTimeline {
  constructor(pick) {
    this.pick = pick;
    this.states = [];
    this.chosen = null;
    this.marked = null;
    this.track = make("div", { className: "track states" });
    this.curve = make("div", { className: "track curve" });
    this.scale = make("div", { className: "scale" });
    const keys = make("span", { className: "keys" }, make("b", { className: "key-valence", textContent: "Valence" }),
      make("b", { className: "key-arousal", textContent: "Arousal" }));
    $("timeline").replaceChildren(lane("State", this.track),
      make("div", { className: "lane" }, keys, this.curve), this.scale);
    $("timeline").hidden = false;
  }

  add(state) {
    this.states.push(state);
    this.states = this.states.slice(-120);
    this.paint();
  }

  get from() {
    const last = this.states.at(-1);
    return last ? Math.max(0, last.end_pts_seconds - LIVE_SECONDS) : 0;
  }

  paint() {
    const from = this.from;
    const seen = this.states.filter((state) => state.end_pts_seconds > from);
    const buttons = seen.map((state, n) => {
      const start = n ? seen[n - 1].end_pts_seconds : Math.max(from, state.start_pts_seconds);
      const label = state.emotions[0] ? state.emotions[0].label : "–";
      const button = make("button", {
        type: "button", className: "state", title: label, "aria-pressed": String(this.chosen === state.index),
        "aria-label": `${clock(start)} to ${clock(state.end_pts_seconds)}: ${label}`, onclick: () => this.choose(state),
      });
      button.style.left = share(start, from, LIVE_SECONDS);
      button.style.width = share(state.end_pts_seconds - start, 0, LIVE_SECONDS);
      const sure = state.emotions[0] && state.emotions[0].confidence || 0;
      button.style.background = `color-mix(in srgb, var(--accent) ${Math.round(45 * sure)}%, var(--sunk))`;
      return button;
    });
    const focused = document.activeElement && document.activeElement.getAttribute("aria-label");
    this.track.replaceChildren(...buttons, ...this.runs(seen, from), ...this.span(from));
    if (focused) buttons.find((button) => button.getAttribute("aria-label") === focused)?.focus();
    this.curves(seen, from);
    this.scale.replaceChildren(...[0, 0.25, 0.5, 0.75, 1].map((part) => make("span", { textContent: clock(from + part * LIVE_SECONDS) })));
  }

  /** One word for states side by side that say the same. */
  runs(seen, from) {
    const runs = [];
    for (const state of seen) {
      const [label, start] = [state.emotions[0]?.label || "", runs.at(-1)?.end ?? Math.max(from, state.start_pts_seconds)];
      if (runs.at(-1)?.label === label) runs.at(-1).end = state.end_pts_seconds;
      else runs.push({ label, start, end: state.end_pts_seconds });
    }
    return runs.map((run) => {
      const word = make("i", { className: "run", textContent: run.label, "aria-hidden": "true" });
      word.style.left = share(run.start, from, LIVE_SECONDS);
      word.style.width = share(run.end - run.start, 0, LIVE_SECONDS);
      return word;
    });
  }

  span(from) {
    if (!this.marked) return [];
    const span = make("i", { className: "span" });
    span.style.left = share(this.marked.start_seconds, from, LIVE_SECONDS);
    span.style.width = share(this.marked.end_seconds - Math.max(from, this.marked.start_seconds), 0, LIVE_SECONDS);
    return [span];
  }

  curves(seen, from) {
    const svg = draw("svg", { viewBox: "0 0 600 60", preserveAspectRatio: "none", "aria-hidden": "true" });
    const line = (name) => draw("polyline", {
      class: name,
      points: seen.map((state) => `${(600 * (state.end_pts_seconds - from)) / LIVE_SECONDS},${30 - 27 * state[name]}`).join(" "),
    });
    svg.append(draw("path", { class: "zero", d: "M0 30H600" }), line("arousal"), line("valence"));
    this.curve.replaceChildren(svg);
  }

  choose(state) {
    this.chosen = this.chosen === state.index ? null : state.index;
    this.paint();
    this.pick(this.chosen === null ? null : state);
  }

  mark(moment) {
    this.marked = moment;
    this.paint();
  }
}
