// The charts: a minute, stacked by replica, against the line of the limit. Samples are
// counters; a rate is what a counter has gained within a second.

import {canvas, calm, hue, number, token} from "./palette.js";

const span = 60_000; // milliseconds shown
const lag = 400; // how far behind the latest sample the right edge is, so that it glides

// series has the samples of a minute.
export class Series {
  constructor() { this.clear(); }

  clear() { this.samples = []; this.offset = undefined; }

  // add takes a sample: t, line, and a and r by number.
  add(s) {
    const last = this.samples.at(-1);
    if (last && s.t <= last.t) return;
    let k = this.samples.length - 1;
    while (k > 0 && s.t - this.samples[k].t < 950) k--;
    const before = this.samples[k];
    s.rate = {a: {}, r: {}};
    for (const which of ["a", "r"]) {
      for (const n in s[which]) {
        // A replica that has just come, or come again, is counted from there.
        const base = this.samples.slice(Math.max(k, 0)).find(b => n in b[which]) ?? s;
        s.rate[which][n] = before ? Math.max(0, (s[which][n] - base[which][n]) / (s.t - before.t) * 1000) : 0;
      }
    }
    this.samples.push(s);
    while (this.samples[0].t < s.t - span - 3000) this.samples.shift();
    // The server's clock is at least as far as this says.
    const offset = s.t - performance.now();
    this.offset = this.offset === undefined ? offset : Math.max(this.offset - 1, offset);
  }

  // now is the server's time at the right edge.
  now() {
    const last = this.samples.at(-1);
    if (!last) return 0;
    return calm() ? last.t : Math.min(performance.now() + this.offset - lag, last.t);
  }

  numbers() {
    const all = new Set();
    for (const s of this.samples) for (const n in s.a) all.add(Number(n));
    return [...all].sort((a, b) => a - b);
  }

  // latest is the rate of a replica, or of all.
  latest(which, n) {
    const rates = this.samples.at(-1)?.rate[which] ?? {};
    return n === undefined ? Object.values(rates).reduce((a, b) => a + b, 0) : rates[n] ?? 0;
  }
}

// nice is a round number at or above n.
function nice(n) {
  const power = 10 ** Math.floor(Math.log10(n));
  return [1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10].map(f => f * power).find(m => m >= n);
}

// stacked draws the rates of all replicas on top of each other.
export class Stacked {
  constructor(element, series, which, name) {
    Object.assign(this, {element, series, which, name});
  }

  draw() {
    const {draw, width, height} = canvas(this.element);
    const left = 42, right = 8, above = 10, below = this.which === "a" ? 20 : 4;
    const now = this.series.now(), samples = this.series.samples;
    const x = t => width - right - (now - t) / span * (width - left - right);
    const sum = s => Object.values(s.rate[this.which]).reduce((a, b) => a + b, 0);
    let most = 10;
    for (const s of samples) most = Math.max(most, sum(s), this.which === "a" ? s.line * 1.15 : 0);
    const goal = nice(most);
    this.top = this.top === undefined || calm() ? goal : this.top + (goal - this.top) * .25;
    if (Math.abs(this.top - goal) < goal * .01) this.top = goal;
    const y = v => height - below - v / this.top * (height - above - below);

    this.axes(draw, {left, right, width, height, below, y, goal});
    draw.save();
    draw.beginPath();
    draw.rect(left, 0, width - left - right, height);
    draw.clip();
    this.areas(draw, samples, x, y);
    if (this.which === "a") this.line(draw, samples, x, y, width - right);
    draw.restore();
  }

  axes(draw, {left, right, width, height, below, y, goal}) {
    draw.font = `11px ${getComputedStyle(document.body).fontFamily}`;
    draw.fillStyle = token("--muted");
    draw.strokeStyle = token("--line");
    draw.lineWidth = 1;
    draw.textAlign = "right";
    draw.textBaseline = "middle";
    for (const part of this.which === "a" ? [0, .25, .5, .75, 1] : [0, 1]) {
      const at = Math.round(y(goal * part)) + .5;
      draw.beginPath();
      draw.moveTo(left, at);
      draw.lineTo(width - right, at);
      draw.stroke();
      draw.fillText(number(goal * part), left - 8, at);
    }
    if (below < 10) return;
    draw.textBaseline = "bottom";
    draw.textAlign = "center";
    for (const s of width > 420 ? [60, 45, 30, 15, 0] : [60, 30, 0]) {
      const at = width - right - s / 60 * (width - left - right);
      draw.textAlign = s === 60 ? "left" : s === 0 ? "right" : "center";
      draw.fillText(s ? `${s} s ago` : "now", at, height - 1);
    }
  }

  areas(draw, samples, x, y) {
    const base = new Array(samples.length).fill(0);
    for (const n of this.series.numbers()) {
      const top = samples.map((s, i) => base[i] + (s.rate[this.which][n] ?? 0));
      draw.beginPath();
      samples.forEach((s, i) => draw.lineTo(x(s.t), y(top[i])));
      for (let i = samples.length - 1; i >= 0; i--) draw.lineTo(x(samples[i].t), y(base[i]));
      draw.closePath();
      draw.globalAlpha = this.which === "a" ? .82 : .5;
      draw.fillStyle = hue(n);
      draw.fill();
      draw.globalAlpha = 1;
      top.forEach((v, i) => { base[i] = v; });
    }
  }

  // line is where the limit is, as far as there was a load.
  line(draw, samples, x, y, edge) {
    const text = token("--text");
    draw.strokeStyle = text;
    draw.lineWidth = 2;
    draw.setLineDash([6, 4]);
    draw.beginPath();
    samples.forEach((s, i) => {
      if (!s.line) return;
      const before = samples[i - 1];
      if (!before || before.line !== s.line) draw.moveTo(x(s.t), y(s.line));
      else draw.lineTo(x(s.t), y(s.line));
    });
    draw.stroke();
    draw.setLineDash([]);
    const last = samples.at(-1);
    if (!last?.line) return;
    const label = `limit ${number(last.line)}/s`;
    draw.font = `600 12px ${getComputedStyle(document.body).fontFamily}`;
    const wide = draw.measureText(label).width + 12;
    draw.fillStyle = text;
    draw.beginPath();
    draw.roundRect(edge - wide - 6, y(last.line) - 24, wide, 18, 5);
    draw.fill();
    draw.fillStyle = token("--card");
    draw.textAlign = "center";
    draw.textBaseline = "middle";
    draw.fillText(label, edge - wide / 2 - 6, y(last.line) - 15);
  }

  say() {
    const last = this.series.samples.at(-1);
    const limit = this.which === "a" && last?.line ? `, the limit is ${number(last.line)}` : "";
    this.element.setAttribute("aria-label", `${this.name} per second: ${number(Math.round(this.series.latest(this.which)))} by all replicas${limit}`);
  }
}

// spark draws one replica's admitted, and refused above it.
export function spark(element, series, n) {
  const {draw, width, height} = canvas(element);
  const now = series.now();
  const samples = series.samples.filter(s => s.t > now - 31_000);
  const x = t => width - (now - t) / 30_000 * width;
  let most = 5;
  for (const s of samples) most = Math.max(most, (s.rate.a[n] ?? 0) + (s.rate.r[n] ?? 0));
  const y = v => height - 1 - v / most * (height - 3);
  for (const [alpha, of] of [[.22, s => (s.rate.a[n] ?? 0) + (s.rate.r[n] ?? 0)], [.9, s => s.rate.a[n] ?? 0]]) {
    draw.beginPath();
    draw.moveTo(samples.length ? x(samples[0].t) : 0, height);
    for (const s of samples) draw.lineTo(x(s.t), y(of(s)));
    draw.lineTo(samples.length ? x(samples.at(-1).t) : width, height);
    draw.globalAlpha = alpha;
    draw.fillStyle = hue(n);
    draw.fill();
  }
  draw.globalAlpha = 1;
}
