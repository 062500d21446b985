// Runs beside the page: collects 100 ms of mono sound and hands it over as 16-bit samples with its time.

class Recorder extends AudioWorkletProcessor {
  constructor() {
    super();
    this.block = new Int16Array(Math.round(sampleRate / 10));
    this.filled = 0;
  }

  process(inputs) {
    const channels = inputs[0];
    const length = channels.length ? channels[0].length : 0;
    for (let i = 0; i < length; i += 1) {
      let sum = 0;
      for (const channel of channels) sum += channel[i];
      const sample = Math.max(-1, Math.min(1, sum / channels.length));
      this.block[this.filled] = Math.round(sample * 32767);
      this.filled += 1;
      if (this.filled === this.block.length) {
        const end = (currentFrame + i + 1) / sampleRate;
        this.port.postMessage({ pcm: this.block.buffer, seconds: end - this.block.length / sampleRate }, [this.block.buffer]);
        this.block = new Int16Array(this.filled);
        this.filled = 0;
      }
    }
    return true;
  }
}

registerProcessor("recorder", Recorder);
