// Vercel's AI SDK, by way of the provider that is named: `responses`, `chat` or `compatible`.
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { embedMany, generateText, Output, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

import * as given from "./cases.mjs";

const [way] = process.argv.slice(2);

function providerOf(apiKey) {
  const baseURL = given.url;
  const options = { name: "veneer", includeUsage: true, supportsStructuredOutputs: true };
  return way === "compatible"
    ? createOpenAICompatible({ baseURL, apiKey, ...options })
    : createOpenAI({ baseURL, apiKey });
}

/** Return a language model, for an option of every call here. */
function model(apiKey = given.key, id = given.chat) {
  const provider = providerOf(apiKey);
  return way === "responses" ? provider.responses(id) : way === "chat" ? provider.chat(id) : provider(id);
}

const prompt = "one two";
const maxRetries = 0;
const schema = z.object({
  city: z.string(),
  sky: z.enum(["clear", "grey"]),
  degrees: z.number(),
  days: z.array(z.number().int()),
});
const tools = {
  get_weather: tool({
    description: "Tells the weather of a city.",
    inputSchema: z.object({ city: z.string() }),
    execute: async () => "sunny",
  }),
};
const calling = { prompt: "call get_weather, please", tools, stopWhen: stepCountIs(3) };

async function refusal(asked) {
  const error = await given.raised(() => generateText({ model: asked, prompt, maxRetries }));
  const { name, statusCode, isRetryable, responseHeaders, responseBody } = error;
  return {
    name,
    status: statusCode,
    retries: isRetryable,
    retryAfter: responseHeaders["retry-after"],
    code: JSON.parse(responseBody).error.code,
  };
}

await given.tell({
  async chat() {
    const { text, usage, finishReason, response } = await generateText({ model: model(), prompt, maxRetries });
    return { text, usage, finishReason, model: response.modelId };
  },
  async stream() {
    const plain = await generateText({ model: model(), prompt, maxRetries });
    const streamed = streamText({ model: model(), prompt, maxRetries });
    const parts = await given.all(streamed.textStream);
    return {
      plain: plain.text,
      text: parts.join(""),
      parts: parts.length,
      plainUsage: plain.usage.totalTokens,
      usage: (await streamed.usage).totalTokens,
    };
  },
  async tools() {
    const { text, steps } = await generateText({ model: model(), maxRetries, ...calling });
    return { text, called: steps.flatMap((step) => step.toolCalls.map((call) => call.toolName)) };
  },
  async toolsInAStream() {
    const streamed = streamText({ model: model(), maxRetries, ...calling });
    const kinds = (await given.all(streamed.fullStream)).map((part) => part.type);
    return { text: await streamed.text, kinds };
  },
  async structured() {
    const output = Output.object({ schema });
    return (await generateText({ model: model(), prompt, maxRetries, output })).output;
  },
  async structuredStream() {
    const streamed = streamText({ model: model(), prompt, maxRetries, output: Output.object({ schema }) });
    const parts = await given.all(streamed.partialOutputStream);
    return parts.at(-1);
  },
  async embeddings() {
    const provider = providerOf(given.key);
    const { embeddings, usage } = await embedMany({
      model: provider.textEmbeddingModel(given.embedding),
      values: ["a", "b"],
      maxRetries,
    });
    return { lengths: embeddings.map((each) => each.length), tokens: usage.tokens };
  },
  unknown: () => refusal(model(given.key, given.unknown)),
  wrongKey: () => refusal(model(given.wrongKey)),
  budget: () => refusal(model(given.poorKey)),
  async limit() {
    const [limited] = given.limitedKeys;
    await generateText({ model: model(limited), prompt, maxRetries });
    return refusal(model(limited));
  },
});
