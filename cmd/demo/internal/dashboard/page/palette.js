// The colours of replicas, by number, and what the style says of others.

const hues = [
  "#3a82d8", "#e0893a", "#1fa187", "#b565bd", "#d7a92b", "#d9596f",
  "#35a8c0", "#936f4d", "#7078dc", "#80a83c", "#cc6fa6", "#64829c",
];

// hue is a replica's colour. After twelve they come again.
export const hue = number => hues[(number - 1) % hues.length];

// token reads a colour of the style.
export const token = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// calm says whether the reader wants nothing to move.
export const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

// canvas fits a canvas to its place, and returns what draws on it in CSS pixels.
export function canvas(element) {
  const {clientWidth: width, clientHeight: height} = element;
  const scale = window.devicePixelRatio || 1;
  if (element.width !== Math.round(width * scale) || element.height !== Math.round(height * scale)) {
    element.width = Math.round(width * scale);
    element.height = Math.round(height * scale);
  }
  const draw = element.getContext("2d");
  draw.setTransform(scale, 0, 0, scale, 0, 0);
  draw.clearRect(0, 0, width, height);
  return {draw, width, height};
}

// put changes a text only if it is another, so that nothing is announced twice.
export function put(element, text) {
  if (element.textContent !== String(text)) element.textContent = text;
}

// number writes one for people.
export const number = n => n.toLocaleString("en", {maximumFractionDigits: n < 10 && n % 1 ? 1 : 0});
