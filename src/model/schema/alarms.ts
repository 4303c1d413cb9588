/** The site file's `alarms`: from when on something is an alarm. */
import { z } from "zod";
import { parseBytes, parseDurationMs } from "../units.ts";
import { duration, size } from "./scalars.ts";

export const AlarmSettings = z
  .strictObject({
    linkDown: duration({ minMs: 1000 })
      .optional()
      .meta({ description: "How long a peer may be away; default 1m" }),
    standsStill: duration({ minMs: 1000 }).optional().meta({
      description:
        "How long a route, a log, a view, a replay or a step of the plan may stand still; default 1m",
    }),
    retentionWithin: duration({ minMs: 1000 })
      .optional()
      .meta({ description: "How long before events are dropped that a peer waits for; default 1h" }),
    retentionShare: z.int().min(1).max(90).optional().meta({
      description: "Or when so many percent of a limit are left to what a peer waits for; default 20",
    }),
    memory: size(64 * 1024 ** 2)
      .optional()
      .meta({ description: "What the sidecar's process may take; default 768MiB" }),
  })
  .meta({ id: "AlarmSettings" });
export type AlarmSettings = z.infer<typeof AlarmSettings>;

/** The settings with their defaults. */
export interface AlarmLimits {
  readonly linkDownMs: number;
  readonly standsStillMs: number;
  readonly retentionWithinMs: number;
  /** 0.2 for 20 percent. */
  readonly retentionShare: number;
  readonly memoryBytes: number;
}

/** Fills in the defaults. */
export function alarmLimits(settings: AlarmSettings = {}): AlarmLimits {
  const millis = (text: string | undefined, fallback: string) => parseDurationMs(text ?? fallback) ?? 0;
  return {
    linkDownMs: millis(settings.linkDown, "1m"),
    standsStillMs: millis(settings.standsStill, "1m"),
    retentionWithinMs: millis(settings.retentionWithin, "1h"),
    retentionShare: (settings.retentionShare ?? 20) / 100,
    memoryBytes: parseBytes(settings.memory ?? "768MiB") ?? 0,
  };
}
