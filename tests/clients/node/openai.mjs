// OpenAI's own client for Node.
import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

import * as given from "./cases.mjs";

const connect = (apiKey = given.key, maxRetries = 0) => new OpenAI({ baseURL: given.url, apiKey, maxRetries });
const client = connect();
const model = given.chat;
const said = (content) => [{ role: "user", content }];
const ask = (asked, options = {}) =>
  asked.chat.completions.create({ model, messages: said("one two"), ...options });

const Weather = z.object({
  city: z.string(),
  sky: z.enum(["clear", "grey"]),
  degrees: z.number(),
  days: z.array(z.number().int()),
});
const tools = [
  {
    type: "function",
    function: {
      name: "get_weather",
      parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
    },
  },
];

/** Return what its error class is, and what it says. */
async function refusal(call) {
  const { constructor, status, code, param, headers } = await given.raised(call);
  return { name: constructor.name, status, code, param, retryAfter: headers?.get("retry-after") };
}

await given.tell({
  async chat() {
    const { data, response } = await ask(client).withResponse();
    return {
      text: data.choices[0].message.content,
      model: data.model,
      cost: data.usage.cost,
      receipt: response.headers.get("x-cost-usd"),
      id: data._request_id,
      header: response.headers.get("x-request-id"),
    };
  },
  async stream() {
    const plain = await ask(client);
    const chunks = await given.all(
      await ask(client, { stream: true, stream_options: { include_usage: true } }),
    );
    return {
      plain: plain.choices[0].message.content,
      text: chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join(""),
      plainUsage: plain.usage,
      usage: chunks.at(-1).usage,
      models: [...new Set(chunks.map((chunk) => chunk.model))],
    };
  },
  async tools() {
    const messages = said("call get_weather, please");
    const first = await client.chat.completions.stream({ model, messages, tools }).finalChatCompletion();
    const { message } = first.choices[0];
    const [call] = message.tool_calls;
    messages.push(message, { role: "tool", tool_call_id: call.id, content: "sunny" });
    const last = await client.chat.completions.create({ model, messages, tools });
    return { name: call.function.name, text: last.choices[0].message.content };
  },
  async structured() {
    const completion = await client.chat.completions.parse({
      model,
      messages: said("one two"),
      response_format: zodResponseFormat(Weather, "weather"),
    });
    return completion.choices[0].message.parsed;
  },
  async responses() {
    const plain = await client.responses.create({ model, input: "one two" });
    const streamed = await client.responses.stream({ model, input: "one two" }).finalResponse();
    return { plain: plain.output_text, text: streamed.output_text, models: [plain.model, streamed.model] };
  },
  async embeddings() {
    const embed = (options) =>
      client.embeddings.create({ model: given.embedding, input: ["a", "b"], dimensions: 8, ...options });
    // Without a word on it, the client asks for base64.
    const [packed, plain] = [await embed({}), await embed({ encoding_format: "float" })];
    return { packed: packed.data.map((each) => each.embedding), plain: plain.data.map((each) => each.embedding) };
  },
  async models() {
    return (await given.all(client.models.list())).map((each) => each.id);
  },
  async idempotency() {
    const options = { idempotencyKey: "order-2" };
    const call = () => client.chat.completions.create({ model, messages: said("one two") }, options);
    return [(await call()).id, (await call()).id];
  },
  unknown: () => refusal(() => ask(client, { model: given.unknown })),
  wrongKey: () => refusal(() => ask(connect(given.wrongKey))),
  budget: () => refusal(() => ask(connect(given.poorKey, 2))),
  async limit() {
    const limited = connect(given.limitedKeys[0], 2);
    await ask(limited);
    return refusal(() => ask(limited));
  },
  async wait() {
    const slow = connect(given.slowKey, 5);
    return [await ask(slow), await ask(slow)].map((each) => each.object);
  },
});
