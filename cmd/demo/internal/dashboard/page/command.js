// Commands go to the demo as JSON; what is wrong with one is said under the panel.

const fault = document.getElementById("fault");

export async function command(name, body = {}) {
  fault.textContent = "";
  try {
    const r = await fetch("api/" + name, {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(body)});
    const answer = await r.json();
    if (!r.ok) throw new Error(answer.error);
    return true;
  } catch (e) {
    fault.textContent = e instanceof TypeError ? "The demo doesn't answer." : e.message;
    return false;
  }
}
