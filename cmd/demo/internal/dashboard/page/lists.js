// How decisions came about, who was refused most, and what happened.

import {number, put} from "./palette.js";

const $ = id => document.getElementById(id);

const ways = [
  ["local", "Decided by the replica that was asked", "#1fa187"],
  ["forwarded", "Forwarded to the key's owner", "#3a82d8"],
  ["leased", "From tokens lent to the replica", "#d7a92b"],
  ["cached", "Refused by what the owner had said", "#7078dc"],
  ["degraded", "Without the owner (degraded)", "#d9596f"],
];

const past = []; // of the last ten seconds

$("pathLegend").replaceChildren(...ways.map(([, text, colour]) => {
  const li = document.createElement("li");
  li.innerHTML = `<span><span class="swatch"></span><span></span></span><b>–</b>`;
  li.querySelector(".swatch").style.background = colour;
  li.firstChild.lastChild.textContent = text;
  return li;
}));
$("pathBar").replaceChildren(...ways.map(([, , colour]) => {
  const i = document.createElement("i");
  i.style.background = colour;
  i.style.flexGrow = 0;
  return i;
}));

export function paths(tick) {
  past.push({t: tick.t, paths: tick.paths});
  while (past.length > 1 && past[0].t < tick.t - 10_000) past.shift();
  const counts = ways.map(([name]) => Math.max(0, tick.paths[name] - past[0].paths[name]));
  const sum = counts.reduce((a, b) => a + b, 0);
  const shares = counts.map(n => sum ? n / sum : 0);
  const percent = s => !sum ? "–" : s && s < .001 ? "< 0.1 %" : (s * 100).toFixed(s < .1 && s ? 1 : 0) + " %";
  shares.forEach((s, i) => {
    $("pathBar").children[i].style.flexGrow = s;
    $("pathBar").children[i].classList.toggle("none", !s);
    put($("pathLegend").children[i].lastChild, percent(s));
  });
  $("pathBar").setAttribute("aria-label", sum ? ways.map(([, text], i) => `${text}: ${percent(shares[i])}`).join(", ") : "No decisions in the last 10 seconds");
}

export function denied(tick) {
  const box = $("denied");
  $("noneDenied").hidden = tick.denied.length > 0;
  while (box.children.length > tick.denied.length) box.lastChild.remove();
  while (box.children.length < tick.denied.length) {
    const li = document.createElement("li");
    li.innerHTML = `<span></span><span class="track"><i></i></span><b></b>`;
    box.append(li);
  }
  const most = tick.denied[0]?.n ?? 1;
  tick.denied.forEach((d, i) => {
    const [key, track, n] = box.children[i].children;
    put(key, d.key);
    put(n, number(d.n));
    track.firstChild.style.width = d.n / most * 100 + "%";
  });
}

const shown = 60;
let last = 0;

// events adds what happened, the latest on top.
export function events(list) {
  const box = $("events");
  for (const e of list) {
    if (e.id <= last) continue;
    last = e.id;
    const li = document.createElement("li");
    li.className = e.kind;
    li.innerHTML = `<time></time><i></i><span></span>`;
    const s = Math.floor(e.t / 1000);
    li.firstChild.textContent = `${Math.floor(s / 60)}:${String(s % 60).padStart(2, "0")}`;
    li.lastChild.textContent = e.text;
    box.prepend(li);
  }
  while (box.children.length > shown) box.lastChild.remove();
}

// forget is for another run of the demo, whose events begin anew.
export function forget() {
  last = 0;
  past.length = 0;
  $("events").replaceChildren();
}
