// Asks the server, with the login that the Prefect UI keeps in this browser.

// Prefect's UI keeps base64 of what was typed into its one field here, and sends it as Basic; so a login there is one here.
const KEPT = "prefect-password";

export class Unauthorized extends Error {}

export function keep(credential) {
  localStorage.setItem(KEPT, btoa(credential));
}

/** GET below /api/lineage; the reply when it is a good one. Throws Unauthorized or an Error with a sentence. */
export async function get(path) {
  const kept = localStorage.getItem(KEPT);
  let reply;
  try {
    reply = await fetch(`/api/lineage${path}`, { headers: kept ? { Authorization: `Basic ${kept}` } : {} });
  } catch {
    throw new Error("The server does not answer. Is it running, and are you online?");
  }
  if (reply.status === 401) {
    localStorage.removeItem(KEPT);
    throw new Unauthorized(await sentence(reply));
  }
  if (!reply.ok) throw new Error(await sentence(reply));
  return reply;
}

async function sentence(reply) {
  try {
    return (await reply.json()).exception_message;
  } catch {
    return `The server answered ${reply.status}.`;
  }
}
