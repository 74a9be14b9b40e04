// What the programs here share: whom they ask, and how they tell what they were answered.
import { subscribe } from "node:diagnostics_channel";

const LOOPBACK = ["127.0.0.1", "::1", "::ffff:127.0.0.1", "localhost"];

export const { url, key, wrongKey, poorKey, slowKey, limitedKeys, chat, embedding, unknown } = JSON.parse(
  process.env.VENEER_CLIENTS,
);

const elsewhere = [];

// Nobody is called but this machine.
subscribe("net.client.socket", ({ socket }) => {
  const check = (host) => LOOPBACK.includes(host) || elsewhere.push(host);
  socket.once("lookup", (error, address, family, host) => check(host));
  socket.once("connect", () => check(socket.remoteAddress));
});

/** Run the cases one after the other, and write what each returned or raised as JSON. */
export async function tell(cases) {
  const told = {};
  for (const [name, run] of Object.entries(cases)) {
    try {
      told[name] = { value: await run() };
    } catch (error) {
      told[name] = { error: error?.stack ?? String(error) };
    }
  }
  console.log(JSON.stringify({ told, elsewhere }));
}

/** Return what a call raises. */
export async function raised(call) {
  try {
    await call();
  } catch (error) {
    return error;
  }
  throw new Error("It was answered.");
}

/** Return all that an asynchronous iterable yields. */
export async function all(parts) {
  const found = [];
  for await (const part of parts) found.push(part);
  return found;
}
