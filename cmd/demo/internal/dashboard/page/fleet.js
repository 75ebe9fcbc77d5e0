// The replicas: a card for each, and the buttons that make them come and go.

import {command} from "./command.js";
import {hue, number, put} from "./palette.js";
import {spark} from "./chart.js";

const $ = id => document.getElementById(id);
const list = $("replicas");
const cards = new Map(); // by name

$("add").addEventListener("click", () => command("add"));
$("split").addEventListener("click", () => command("split"));
$("heal").addEventListener("click", () => command("heal"));

function card(r) {
  const li = document.createElement("li");
  li.className = "replica";
  li.style.setProperty("--hue", hue(r.number));
  li.innerHTML = `
    <header><h3></h3><span class="state"></span></header>
    <dl><div><dt>Partitions</dt><dd class="held"></dd></div><div><dt>Admitted</dt><dd class="admitted"></dd></div><div><dt>Refused</dt><dd class="refused"></dd></div></dl>
    <canvas aria-hidden="true"></canvas>
    <div class="buttons"><button type="button" class="stop">Stop</button><button type="button" class="kill">Kill</button></div>`;
  const part = c => li.querySelector(c);
  part("h3").textContent = r.name;
  for (const what of ["stop", "kill"]) {
    const button = part("." + what);
    button.setAttribute("aria-label", `${button.textContent} ${r.name}`);
    button.addEventListener("click", () => command(what, {name: r.name}));
  }
  return {li, part, number: r.number};
}

// show brings the cards up to a tick.
export function show(tick, series) {
  const there = new Set(tick.replicas.map(r => r.name));
  for (const [name, c] of cards) {
    if (there.has(name)) continue;
    const focused = c.li.contains(document.activeElement);
    c.li.remove();
    cards.delete(name);
    if (focused) $("add").focus();
  }
  const several = tick.replicas.filter(r => r.state !== "leaving").length > 1;
  for (const r of [...tick.replicas].sort((a, b) => a.number - b.number)) {
    let c = cards.get(r.name);
    if (!c) {
      cards.set(r.name, c = card(r));
      const next = [...list.children].find(li => li.number > r.number);
      c.li.number = r.number;
      list.insertBefore(c.li, next ?? null);
    }
    const side = tick.split ? `side ${"AB"[r.side]} · ` : "";
    put(c.part(".state"), side + r.state);
    c.part(".state").className = "state " + r.state;
    put(c.part(".held"), number(r.held));
    put(c.part(".admitted"), number(Math.round(series.latest("a", r.number))) + "/s");
    put(c.part(".refused"), number(Math.round(series.latest("r", r.number))) + "/s");
    for (const what of [".stop", ".kill"]) c.part(what).disabled = r.state === "leaving" || !several;
  }
  $("split").disabled = tick.split || !several;
  $("heal").disabled = !tick.split;
  legend(tick);
}

// legend names the colours of the wheel and of the charts.
function legend(tick) {
  const box = $("ringLegend");
  const text = tick.replicas.map(r => r.name).join();
  if (box.dataset.of !== text) {
    box.dataset.of = text;
    box.replaceChildren(...tick.replicas.map(r => {
      const li = document.createElement("li");
      li.innerHTML = `<span class="swatch"></span><span></span> <b></b>`;
      li.firstChild.style.background = hue(r.number);
      li.children[1].textContent = r.name;
      return li;
    }));
  }
  tick.replicas.forEach((r, i) => put(box.children[i].lastChild, number(r.held)));
}

// draw draws the small charts.
export function draw(series) {
  for (const c of cards.values()) spark(c.part("canvas"), series, c.number);
}
