// The page follows one stream of events and shows the latest of each kind.

import * as chart from "./chart.js";
import * as fleet from "./fleet.js";
import * as lists from "./lists.js";
import * as panel from "./panel.js";
import {calm, put} from "./palette.js";
import {theme} from "./theme.js";
import * as wheel from "./wheel.js";

const $ = id => document.getElementById(id);
const series = new chart.Series();
const charts = [
  new chart.Stacked($("chartAdmitted"), series, "a", "Admitted"),
  new chart.Stacked($("chartRefused"), series, "r", "Refused"),
];
let latest = 0; // time of a tick

const on = (source, name, show) => source.addEventListener(name, e => show(JSON.parse(e.data)));

const source = new EventSource("api/stream");
source.addEventListener("open", () => { put($("link"), "live"); $("link").classList.add("live"); });
source.addEventListener("error", () => { put($("link"), "reconnecting"); $("link").classList.remove("live"); });

on(source, "history", samples => {
  if (samples.length && samples.at(-1).t < latest) lists.forget(); // another run of the demo
  series.clear();
  samples.forEach(s => series.add(s));
  charts.forEach(c => { c.top = undefined; }); // nothing to glide from
});

on(source, "tick", tick => {
  latest = tick.t;
  const sample = {t: tick.t, line: tick.load?.running ? tick.load.line : 0, a: {}, r: {}};
  for (const r of tick.replicas) {
    sample.a[r.number] = r.admitted;
    sample.r[r.number] = r.refused;
  }
  series.add(sample);
  panel.show(tick, series);
  fleet.show(tick, series);
  lists.paths(tick);
  lists.denied(tick);
  charts.forEach(c => c.say());
  if (calm()) draw(true);
});

on(source, "wheel", sides => wheel.update(sides));
on(source, "events", events => lists.events(events));

function draw(all) {
  charts.forEach(c => c.draw());
  fleet.draw(series);
  wheel.redraw(all);
}

// Thirty pictures a second, while somebody looks, and none by itself for who wants calm.
let drawn = 0;
function animate(now) {
  requestAnimationFrame(animate);
  if (now - drawn < 33 || calm()) return;
  drawn = now;
  draw(false);
}

addEventListener("theme", () => draw(true));
addEventListener("resize", () => draw(true));
put($("curl"), `curl -i "${location.origin}/try?limit=10/minute&key=alice"`);
theme();
requestAnimationFrame(animate);
