// The panel that sends load, and the tiles with its figures.

import {command} from "./command.js";
import {number, put} from "./palette.js";

const $ = id => document.getElementById(id);
const form = $("load");

form.addEventListener("submit", async e => {
  e.preventDefault();
  for (const input of form.elements) input.removeAttribute?.("aria-invalid");
  const v = Object.fromEntries(new FormData(form));
  const orders = {rate: Math.round(Number(v.rate)), keys: Math.round(Number(v.keys)), skew: Number(v.skew), seconds: Number(v.seconds), limit: v.limit};
  if (await command("load", orders)) return;
  // The error begins with the name of the field.
  const field = $("fault").textContent.split(/[ :]/)[0].replace("duration", "seconds");
  const input = form.elements.namedItem(field);
  if (input) {
    input.setAttribute("aria-invalid", "true");
    input.setAttribute("aria-describedby", "fault");
    input.focus();
  }
});

$("end").addEventListener("click", () => command("end"));

// show writes the figures of a tick.
export function show(tick, series) {
  const load = tick.load;
  put($("admitted"), number(Math.round(series.latest("a"))));
  put($("refused"), number(Math.round(series.latest("r"))));
  $("end").disabled = !load?.running;
  if (!load) return;
  put($("lineNote"), load.running ? `the limit lets ${number(load.line)}/s pass` : "the load is over");
  put($("totalNote"), `${number(load.refused)} of ${number(load.sent)} in this load`);
  put($("p50"), load.p50 < 10 ? load.p50.toFixed(1) : number(Math.round(load.p50)));
  put($("p99"), `median; 99 % within ${load.p99 < 10 ? load.p99.toFixed(1) : number(Math.round(load.p99))} ms`);
  $("progress").value = load.running ? Math.min(1, load.elapsed / load.duration) : 0;
  proof(load);
}

// proof says what is over, and what may be.
function proof(load) {
  put($("over"), number(load.over));
  put($("bound"), load.bound ? `guaranteed: at most ${number(load.bound)}` : "guaranteed: 0");
  const reasons = (load.reasons ?? []).join("; ");
  let said = reasons ? reasons[0].toUpperCase() + reasons.slice(1) + "." : "Checked for every key over every interval, all replicas together.";
  const gone = [[load.lost, "died with a replica"], [load.failed, "failed"], [load.dropped, "couldn't be sent"]].filter(([n]) => n).map(([n, what]) => `${number(n)} ${what}`);
  if (gone.length) said += ` Of the calls ${gone.join(", ")}.`;
  put($("reason"), said);
  const tile = $("proof");
  tile.classList.toggle("over", load.over > 0 && load.over <= load.bound);
  tile.classList.toggle("broken", load.over > load.bound);
}
