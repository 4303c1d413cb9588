/** What a rule or an export may let through: rates, bursts, sizes. Values stay text, see `parseRate` and `parseBytes`. */
import { z } from "zod";
import { parseByteRate, parseRate } from "../units.ts";
import { checked, duration, size } from "./scalars.ts";

/** The slowest rates: what waits for its turn is held in memory, and must get it within a minute. */
const LEAST_MESSAGES = 1 / 60;
const LEAST_BYTES = 1024;
const MOST_MESSAGES = 1e7;
const MOST_BYTES = 1024 ** 4;
const MIN_BURST_MS = 10;
const MAX_BURST_MS = 3600_000;

const MessageRate = checked((text) => {
  const rate = parseRate(text);
  if (rate === null) return "is no rate (expected for example 500/s, 30/m)";
  if (rate < LEAST_MESSAGES) return "is slower than 1/m";
  return rate > MOST_MESSAGES ? "is faster than 10000000/s" : null;
}).meta({ example: "500/s" });

const ByteRate = checked((text) => {
  const rate = parseByteRate(text);
  if (rate === null) return "is no rate of bytes (expected for example 1MiB/s, 500KB/m)";
  if (rate < LEAST_BYTES) return "is slower than 1KiB/s";
  return rate > MOST_BYTES ? "is faster than 1TiB/s" : null;
}).meta({ example: "1MiB/s" });

const rates = {
  messages: MessageRate.optional().meta({ description: "Events that leave, at most" }),
  bytes: ByteRate.optional().meta({ description: "Header and payload bytes that leave, at most" }),
  burst: duration({ minMs: MIN_BURST_MS, maxMs: MAX_BURST_MS }).optional().meta({
    description: "How much of the rate may be saved up while less leaves, as time; default 1s",
  }),
  onLimit: z.enum(["defer", "drop"]).optional().meta({
    description:
      "defer (default): the view waits, in order, nothing is lost; drop: what is too much is dropped and counted",
  }),
};

function wantRate(limit: Readonly<Record<string, unknown>>, context: z.RefinementCtx): void {
  if (Object.keys(limit).length === 0) {
    context.addIssue({ code: "custom", message: "limits nothing: give messages or bytes" });
  }
  if (limit.messages !== undefined || limit.bytes !== undefined) return;
  for (const field of ["burst", "onLimit"]) {
    if (limit[field] === undefined) continue;
    const message = "is for a rate: give messages or bytes beside it";
    context.addIssue({ code: "custom", path: [field], message });
  }
}

/** What one rule lets through. */
export const RuleLimit = z
  .strictObject({
    ...rates,
    maxSize: size().optional().meta({ description: "A larger payload is quarantined (payload_too_large)" }),
  })
  .superRefine(wantRate)
  .meta({ id: "RuleLimit" });
export type RuleLimit = z.infer<typeof RuleLimit>;

/** What an export lets through. */
export const ExportLimit = z
  .strictObject({
    ...rates,
    perPeer: ByteRate.optional().meta({
      description: "Bytes to each peer, at most: kept by nats-server, on native routes too",
    }),
  })
  .superRefine(wantRate)
  .meta({ id: "ExportLimit" });
export type ExportLimit = z.infer<typeof ExportLimit>;
