// Talks to the server: the key, requests, server-sent events. Knows no document but the key's dialog.

import { $ } from "/page/dom.js";

const KEY = "emer-edge-key";

export const key = () => sessionStorage.getItem(KEY) || "";

/** Ask the person for the key. */
function askForKey() {
  const dialog = $("key-dialog");
  return new Promise((resolve) => {
    $("key-form").onsubmit = (event) => {
      event.preventDefault();
      sessionStorage.setItem(KEY, $("key").value.trim());
      $("key").value = "";
      dialog.close();
      resolve();
    };
    if (!dialog.open) dialog.showModal();
  });
}

/** A request with the key; asks for one where it is wanted. Throws what the server tells as an error. */
export async function request(path, options = {}) {
  for (;;) {
    const headers = { ...options.headers };
    if (key()) headers.authorization = `Bearer ${key()}`;
    const answer = await fetch(path, { ...options, headers });
    if (answer.status === 401) {
      await askForKey();
      continue;
    }
    if (answer.ok) return answer;
    let error = { what: `The server answered ${answer.status}.` };
    try {
      error = (await answer.json()).error;
    } catch { /* no JSON: the status says it */ }
    throw Object.assign(new Error(error.what), {
      told: error,
      status: answer.status,
      retrySeconds: Number(answer.headers.get("retry-after")) || 0,
    });
  }
}

/** Every event of an answer's stream, as it comes. */
export async function* events(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += value;
    const blocks = rest.split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const data = block.split("\n").filter((line) => line.startsWith("data: ")).map((line) => line.slice(6));
      if (data.length) yield JSON.parse(data.join("\n"));
    }
  }
}
