/** What the sidecars of a site leave in the members' bucket, and the times by which they judge each other. */
import { z } from "zod";

/** What members say to each other; another number: they cannot work together. */
export const MEMBERS_PROTOCOL = 1;

/**
 * All measured by a process's own monotonic clock, and no time is ever compared with that of another process. Who holds something
 * stops before anybody else takes it: `holdMs` after it began to renew it, and it is taken `takeMs` after the one who takes it saw
 * it move last.
 */
export const MEMBER_TIMES = {
  /** A heartbeat, and the lease of the one that leads. */
  tickMs: 250,
  /** The same of one that leads and is alone on its data folder: nobody waits for either, and whoever comes waits for two of them. */
  aloneTickMs: 1000,
  holdMs: 1500,
  takeMs: 2000,
  /** A look that takes longer says nothing of how long the lease has stood still. */
  slowMs: 500,
  /** How long a member that is alone on its data folder goes on without a look. */
  aloneMs: 4000,
  /** How long one that has just come waits for a leader that it has never seen move. */
  newcomerMs: 5000,
  /** One request of a tick. */
  requestMs: 900,
} as const;

/** A process as others on its machine can look for it. */
export const ProcessMark = z.object({
  /** The machine, since its start, and its space of process ids. */
  host: z.string(),
  pid: z.number(),
  started: z.string(),
});
export type ProcessMark = z.infer<typeof ProcessMark>;

/** The heartbeat of one sidecar. */
export const Heartbeat = z.object({
  name: z.string(),
  /** Another one for each start. */
  instance: z.string(),
  protocol: z.number(),
  version: z.string(),
  /** Of the keys that all members must have. */
  keys: z.string(),
  process: ProcessMark,
  api: z.string(),
  /** Views that it runs, and the version of the policy that each decides by. */
  views: z.record(z.string(), z.string()),
  /** Whether it runs views that another one gives to it. */
  sharesViews: z.boolean().default(false),
});
export type Heartbeat = z.infer<typeof Heartbeat>;

/** The lease of the one that leads. */
export const Lease = z.object({
  /** `null`: it was given back. */
  holder: z.object({ name: z.string(), instance: z.string(), process: ProcessMark }).nullable(),
  /** Grows by one with each holder. */
  epoch: z.number(),
  keys: z.string(),
  protocol: z.number(),
});
export type Lease = z.infer<typeof Lease>;
