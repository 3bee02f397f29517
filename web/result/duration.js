/** How long sampling takes on this machine: a result knows it from earlier runs, and the server from newer ones too. */

// Another run of the same samplers changes what is known, and the page is told only that it is over.
const OVER = "execution_success";

/**
 * Ask how long the samplers of a result take by now, at first and after each run.
 * @param {() => object | null} result
 * @param {{api: object}} host
 * @param {(result: object, here: object | null) => void} tell
 * @param {AbortSignal} signal
 */
export function followDuration(result, host, tell, signal) {
  const look = async () => {
    const asked = result();
    const runs = asked?.prediction.runs ?? [];
    if (runs.length) tell(asked, await ask(host.api, runs));
  };
  host.api.addEventListener(OVER, look, { signal });
  return look;
}

/** @returns {Promise<object | null>} as in a result; null when nobody knows, or the server does not say */
async function ask(api, runs) {
  try {
    const headers = { "Content-Type": "application/json" };
    const answer = await api.fetchApi("/lumosx/pace", { method: "POST", headers, body: JSON.stringify({ runs }) });
    return answer.ok ? (await answer.json()).here : null;
  } catch {
    return null;
  }
}
