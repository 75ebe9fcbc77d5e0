// Light or dark: as the system has it, until the button says otherwise.

const root = document.documentElement;
const button = document.getElementById("theme");
const system = matchMedia("(prefers-color-scheme: dark)");

const dark = () => (root.dataset.theme || (system.matches ? "dark" : "light")) === "dark";

function show() {
  button.setAttribute("aria-pressed", dark());
  dispatchEvent(new Event("theme"));
}

export function theme() {
  try {
    const kept = localStorage.getItem("theme");
    if (kept) root.dataset.theme = kept;
  } catch { /* no storage: as the system has it */ }
  button.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    try { localStorage.setItem("theme", root.dataset.theme); } catch { /* until the page is closed */ }
    show();
  });
  system.addEventListener("change", show);
  show();
}
