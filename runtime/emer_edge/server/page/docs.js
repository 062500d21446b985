// Shows /openapi.json: a card for each route.

import { $, make } from "/page/dom.js";
import { request } from "/page/server.js";

/** Text with `code` between backquotes. */
const prose = (text) => text.split("`").map((piece, n) => (n % 2 ? make("code", { textContent: piece }) : piece));

function rows(parameters) {
  return make("table", {}, make("tbody", {}, ...parameters.map(({ name, schema, description = "" }) => make("tr", {},
    make("th", { scope: "row" }, make("code", { textContent: name })),
    make("td", { textContent: schema.type }),
    make("td", { textContent: description })))));
}

function card(path, method, operation) {
  const parts = [make("h2", {}, make("b", { textContent: method.toUpperCase() }), " ", make("code", { textContent: path })),
    make("p", { className: "summary", textContent: operation.summary })];
  if (operation.description) parts.push(make("p", {}, ...prose(operation.description)));
  if (operation["x-example"]) parts.push(make("pre", {}, make("code", { textContent: operation["x-example"] })));
  if (operation.parameters) parts.push(rows(operation.parameters));
  const answers = Object.entries(operation.responses).map(([code, { description }]) => make("li", {},
    make("b", { textContent: code }), ` ${description}`));
  parts.push(make("ul", { className: "answers" }, ...answers));
  return make("article", { className: "card" }, ...parts);
}

const described = await (await request("/openapi.json")).json();
$("pack").textContent = `API ${described.info.version}`;
$("routes").replaceChildren(...Object.entries(described.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => card(path, method, operation))));
