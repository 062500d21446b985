// Camera and microphone: pictures and sound to the server, states and words back.

import { $, notice, told } from "/page/dom.js";
import { addText, clearResults, setText, showAffect, showClues, showEmotions, showFacts, showStage } from "/page/results.js";
import { key } from "/page/server.js";
import { LiveTimeline } from "/page/timeline.js";

const [FRAME, AUDIO] = [1, 2];
const FRAMES_PER_SECOND = 5;
const WIDTH = 640;
const BEHIND_BYTES = 1 << 20;
const KEPT_MINUTES = 15;

const player = $("player");
let session = null;
let last = null;

export function openLiveMode() {
  $("invite").hidden = Boolean(session || last);
  $("live-row").hidden = false;
  $("words-label").textContent = "What is being said";
  $("words").placeholder = "optional: type what you hear";
  buttons();
  $("timeline").hidden = true;
}

export function closeLiveMode() {
  stop();
  last = null;
  $("invite").hidden = true;
  $("live-row").hidden = true;
}

/** Camera and microphone, or the one of them that there is. */
async function devices() {
  const video = { width: { ideal: WIDTH }, height: { ideal: 360 }, frameRate: { ideal: 15 } };
  // A voice that was cleaned for a telephone call says less about a mood.
  const audio = { echoCancellation: false, noiseSuppression: false, autoGainControl: false, channelCount: 1 };
  if (!navigator.mediaDevices) {
    throw new Error("A browser gives out camera and microphone only on this machine or over HTTPS.");
  }
  for (const wish of [{ video, audio }, { video }, { audio }]) {
    try {
      return await navigator.mediaDevices.getUserMedia(wish);
    } catch (error) {
      if (error.name !== "NotFoundError" || !wish.video) throw error;
    }
  }
  return null;
}

export async function start() {
  notice("");
  $("start").disabled = true;
  try {
    const stream = await devices();
    session = new Session(stream);
    await session.open();
    $("invite").hidden = true;
    buttons();
  } catch (error) {
    notice(`Camera and microphone can't be used.\n${error.message || error.name}`);
    stop();
  }
  $("start").disabled = false;
}

export function stop() {
  if (!session) return;
  last = session;
  session.close();
  session = null;
  buttons();
}

/** Start or stop, whichever there is to do. */
export const toggle = () => (session ? stop() : start());

function buttons() {
  $("go").textContent = "Explain";
  $("go").disabled = !session;
  $("stop").hidden = !session && !last;
  $("stop").textContent = session ? "Stop" : "Start again";
}

/** What the form does here: say the words that were typed, or ask for a reasoning. */
export function submit() {
  if (!session) return;
  const words = $("words").value.trim();
  if (words) {
    session.say(words);
    $("words").value = "";
    return;
  }
  session.ask($("question").value.trim() || "explain");
}

class Session {
  constructor(stream) {
    this.stream = stream;
    this.pinned = null;
    this.text = "";
    this.skipped = 0;
    this.lost = 0;
    this.windows = new Map();
  }

  async open() {
    clearResults("Listening…");
    showStage("Connecting");
    this.timeline = new LiveTimeline((state) => this.pin(state));
    player.srcObject = this.stream;
    player.muted = true;
    player.controls = false;
    await player.play().catch(() => {});
    const every = $("reason").value;
    const config = { window_seconds: 8, hop_seconds: 2, policy: "drop_oldest", reasoning: Number(every) || every };
    if (key()) config.api_key = key();
    this.socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/v1/live`);
    this.socket.onopen = () => this.socket.send(JSON.stringify(config));
    this.socket.onmessage = (message) => this.hear(JSON.parse(message.data));
    this.socket.onclose = (event) => this.ended(event);
  }

  /** The server is ready: from now on every picture and sound is sent. */
  async begin() {
    showStage("Live");
    this.zero = performance.now();
    if (this.stream.getVideoTracks().length) {
      this.canvas = new OffscreenCanvas(WIDTH, 360);
      this.timer = setInterval(() => this.look(), 1000 / FRAMES_PER_SECOND);
    }
    if (this.stream.getAudioTracks().length) await this.listen();
    this.record();
  }

  now() {
    return (performance.now() - this.zero) / 1000;
  }

  send(kind, seconds, rate, data) {
    if (this.socket.readyState !== WebSocket.OPEN) return;
    const head = new DataView(new ArrayBuffer(16));
    head.setUint8(0, kind);
    head.setUint8(1, kind === AUDIO ? 1 : 0);
    head.setUint32(4, rate, true);
    head.setFloat64(8, seconds, true);
    this.socket.send(new Blob([head.buffer, data]));
  }

  async look() {
    if (!player.videoWidth) return;
    // A machine that is behind gets fewer pictures, never a heap of old ones.
    if (this.looking || this.socket.bufferedAmount > BEHIND_BYTES) {
      this.skipped += 1;
      return;
    }
    this.looking = true;
    try {
      const seconds = this.now();
      const width = Math.min(WIDTH, player.videoWidth);
      this.canvas.width = width;
      this.canvas.height = Math.round(width * player.videoHeight / player.videoWidth);
      this.canvas.getContext("2d").drawImage(player, 0, 0, this.canvas.width, this.canvas.height);
      this.send(FRAME, seconds, 0, await this.canvas.convertToBlob({ type: "image/jpeg", quality: 0.85 }));
    } finally {
      this.looking = false;
    }
  }

  async listen() {
    this.context = new AudioContext({ sampleRate: 16000 });
    await this.context.audioWorklet.addModule("/page/recorder.js");
    const recorder = new AudioWorkletNode(this.context, "recorder", { numberOfOutputs: 0 });
    // Both clocks run at the speed of the wall; the audio clock began a little later.
    const offset = this.now() - this.context.currentTime;
    recorder.port.onmessage = ({ data }) => {
      this.send(AUDIO, Math.max(0, data.seconds + offset), this.context.sampleRate, data.pcm);
    };
    this.context.createMediaStreamSource(this.stream).connect(recorder);
  }

  /** Keep the session in this tab, so that its moments can be looked at once it is over. */
  record() {
    try {
      this.recorder = new MediaRecorder(this.stream, { videoBitsPerSecond: 8e5 });
    } catch {
      return;
    }
    this.kept = [];
    this.recorder.ondataavailable = (event) => this.kept.push(event.data);
    this.recorder.start(1000);
    this.recordedFrom = this.now();
    setTimeout(() => this.recorder.state === "recording" && this.recorder.stop(), KEPT_MINUTES * 60e3);
  }

  say(words) {
    const end = this.now();
    const start = Math.max(0, end - 0.4 * words.split(/\s+/).length);
    this.socket.send(JSON.stringify({ kind: "text", text: words, start_seconds: start, end_seconds: end, final: true }));
  }

  ask(question) {
    showStage("Explaining");
    this.socket.send(JSON.stringify({ kind: "ask", question }));
  }

  hear(event) {
    switch (event.kind) {
      case "session": this.begin(); break;
      case "state": this.state(event); break;
      case "token": this.token(event); break;
      case "reasoning": this.reasoned(event); break;
      case "error": if (event.fatal || !event.error) this.failure = event.error; notice(told(event.error)); break;
      case "dropped": this.lost += event.n; break;
      case "closed": this.stats = event.stats; break;
    }
  }

  state(state) {
    this.windows.set(state.index, state);
    this.timeline.add(state);
    if (this.pinned === null) this.show(state);
  }

  show(state) {
    showEmotions(state.emotions, state.scores);
    showAffect(state, this.pinned === null);
    const { quality } = state;
    const senses = { vision: `${quality.faces || quality.frames} pictures`, audio: `${quality.audio_seconds.toFixed(1)} s of sound`, subtitle: "the words" };
    const rests = quality.modalities.map((name) => senses[name]).join(", ") || "nothing";
    const lost = this.lost + this.skipped;
    showFacts(`Rests on ${rests}; ${state.age_seconds.toFixed(2)} s old.${quality.degraded.length ? ` Left out: ${quality.degraded.join(", ")}.` : ""}${lost ? ` ${lost} pieces of picture or sound came too late to be used.` : ""}`);
  }

  pin(state) {
    this.pinned = state ? state.index : null;
    showStage(state ? "Looking back; choose the state again to follow" : "Live", !state);
    this.show(state || [...this.windows.values()].at(-1));
  }

  token(event) {
    if (this.speaking !== event.state_index) {
      this.speaking = event.state_index;
      setText("");
      $("clues").replaceChildren();
    }
    addText(event.text);
  }

  reasoned(event) {
    this.speaking = null;
    showStage("Live");
    const moment = { start_seconds: event.start_pts_seconds, end_seconds: event.end_pts_seconds, at_seconds: event.start_pts_seconds, basis: "window" };
    setText(event.text);
    showClues(event.text, event.clues, event.clues.map(() => moment), (at) => this.goTo(at));
  }

  /** Show a window on the timeline, and play it once the session is over. */
  goTo(moment) {
    this.timeline.mark(moment);
    if (!this.replay) return;
    player.currentTime = Math.max(0, moment.at_seconds - this.recordedFrom);
    player.play().catch(() => {});
  }

  close() {
    clearInterval(this.timer);
    this.stream.getTracks().forEach((track) => track.stop());
    this.context?.close();
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify({ kind: "close" }));
    showStage("Stopped", false);
    if (this.recorder && this.recorder.state !== "inactive") {
      this.recorder.onstop = () => this.offerReplay();
      this.recorder.stop();
    } else this.offerReplay();
  }

  offerReplay() {
    if (last !== this || !this.kept?.length) return;
    this.replay = new Blob(this.kept, { type: this.recorder.mimeType });
    player.srcObject = null;
    player.src = URL.createObjectURL(this.replay);
    player.muted = false;
    player.controls = true;
  }

  ended(event) {
    const wasOpen = session === this;
    if (wasOpen) stop();
    if (wasOpen && !this.failure && event.code !== 1000) notice("The connection to the server ended.");
    $("invite").hidden = Boolean(this.kept?.length);
  }
}
