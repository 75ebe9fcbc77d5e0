// The wheel: each of the 4096 partitions is a cell, in the colour of who holds it.
// Along the ring they stand in columns of 16, so neighbours on the ring are neighbours
// here. What changes hands flashes and fades.

import {canvas, calm, hue, token} from "./palette.js";

const rows = 16;
const columns = 4096 / rows;
const fade = 1400; // milliseconds
const MOVING = 32, DOUBT = 64, DOUBLE = 96, NUMBER = 31;

class Wheel {
  constructor(box) {
    this.box = box;
    this.canvas = box.querySelector("canvas");
    this.cells = new Uint8Array(4096);
    this.changed = new Float64Array(4096).fill(-Infinity);
    this.fresh = true;
  }

  update(cells) {
    const now = performance.now();
    for (let i = 0; i < cells.length; i++) {
      if (cells[i] !== this.cells[i] && !this.fresh) this.changed[i] = now;
    }
    this.fresh = false;
    this.cells = cells;
    this.until = now + fade;
    this.say();
    this.draw();
  }

  // say puts in words what is drawn.
  say() {
    const held = new Map();
    let moving = 0, nobody = 0, double = 0;
    for (const c of this.cells) {
      if (c === 0) nobody++;
      else if (c > DOUBLE) double++;
      else if (c > NUMBER) moving++;
      else held.set(c, (held.get(c) || 0) + 1);
    }
    this.held = held;
    const unsettled = moving + nobody + double;
    const [big, small] = this.box.querySelectorAll(".middle > *");
    big.textContent = unsettled || 4096 - unsettled;
    small.textContent = nobody > moving ? "held by nobody" : moving ? "on their way" : double ? "held by two" : "partitions held";
    const parts = [...held].sort(([a], [b]) => a - b).map(([n, count]) => `replica-${n} holds ${count}`);
    if (moving) parts.push(`${moving} are on their way`);
    if (nobody) parts.push(`${nobody} are held by nobody`);
    if (double) parts.push(`${double} are held by two`);
    this.canvas.setAttribute("aria-label", "Partitions: " + parts.join(", "));
  }

  draw() {
    const {draw, width} = canvas(this.canvas);
    const now = performance.now(), middle = width / 2;
    const outer = middle - 2, inner = outer * .52, height = (outer - inner) / rows;
    const ground = token("--card"), nobody = token("--nobody"), text = token("--text");
    const paths = new Map();
    const cell = (key, i, inset) => {
      if (!paths.has(key)) paths.set(key, new Path2D());
      const column = Math.floor(i / rows), r = outer - height * (i % rows);
      const a = column / columns * 2 * Math.PI - Math.PI / 2, b = a + 2 * Math.PI / columns;
      const p = paths.get(key), gap = inset ? .25 * (b - a) : 0;
      p.moveTo(middle + (r - inset) * Math.cos(a + gap), middle + (r - inset) * Math.sin(a + gap));
      p.arc(middle, middle, r - inset, a + gap, b - gap);
      p.arc(middle, middle, r - height + inset, b - gap, a + gap, true);
      p.closePath();
    };
    for (let i = 0; i < 4096; i++) {
      const c = this.cells[i], age = now - this.changed[i];
      if (c === 0) cell("nobody", i, height * .3);
      else if (c > NUMBER && c < DOUBLE) { cell("moving" + (c & NUMBER), i, height * .18); }
      else cell(c & NUMBER, i, 0);
      if (c > DOUBLE) cell("double", i, height * .3);
      if (age < fade && !calm()) cell("flash" + Math.floor(age / fade * 8), i, 0);
    }
    for (const [key, path] of paths) {
      draw.globalAlpha = 1;
      if (typeof key === "number") draw.fillStyle = hue(key);
      else if (key === "nobody") draw.fillStyle = nobody;
      else if (key === "double") draw.fillStyle = text;
      else if (key.startsWith("moving")) { draw.fillStyle = hue(Number(key.slice(6))); draw.globalAlpha = .55; }
      else continue;
      draw.fill(path);
    }
    for (const [key, path] of paths) {
      if (typeof key !== "string" || !key.startsWith("flash")) continue;
      draw.globalAlpha = .85 * (1 - Number(key.slice(5)) / 8);
      draw.fillStyle = ground;
      draw.fill(path);
    }
    draw.globalAlpha = 1;
  }
}

const box = document.getElementById("wheels");
let wheels = [];

// update shows the wheels of all sides, in base64.
export function update(sides) {
  if (wheels.length !== sides.length) {
    box.replaceChildren(...sides.map((_, i) => {
      const one = document.createElement("div");
      one.className = "wheel";
      one.innerHTML = `<canvas role="img"></canvas><div class="middle"><b></b><span></span></div>`;
      one.dataset.side = "AB"[i];
      return one;
    }));
    box.classList.toggle("two", sides.length > 1);
    wheels = [...box.children].map(b => new Wheel(b));
  }
  sides.forEach((text, i) => wheels[i].update(Uint8Array.from(atob(text), c => c.charCodeAt(0))));
}

// redraw draws what still fades, or everything.
export function redraw(all) {
  const now = performance.now();
  for (const w of wheels) if (all || now < w.until) w.draw();
}
