/** What the sidecars of a site say to each other of the views that they run. */
import { z } from "zod";
import type { Redriven } from "../../flow/redrive_queue.ts";
import type { ViewPolicy, ViewTarget } from "../../flow/thread/messages.ts";
import type { ViewStats } from "../../flow/view_worker.ts";
import type { ExportPolicy } from "../../model/schema/policy.ts";
import type { CompileOptions } from "../../policy/compile.ts";

/** A member asks the one that leads, again and again, whether it may go on writing, and tells what it runs. */
export const ASK_VERB = "views-ask";
/** The one that leads tells a member what to run. */
export const ORDER_VERB = "views-order";

const Target = z.object({
  key: z.string(),
  tenant: z.string(),
  policy: z.string(),
  sourceStream: z.string(),
  viewStream: z.string(),
}) satisfies z.ZodType<ViewTarget>;

/** Tells one placing of a view from all others, and the later of two. */
const Placing = z.object({ epoch: z.number(), number: z.number() });
export type Placing = z.infer<typeof Placing>;

/** A view, and what its policy is compiled from. Keys are never sent: each member has them. */
const Documents = {
  target: Target,
  version: z.string(),
  policy: z.custom<ExportPolicy>(),
  schemas: z.custom<NonNullable<CompileOptions["schemas"]>>(),
};

/** A view that a member runs. */
const Held = z.object({ placing: Placing, target: Target, version: z.string() });
export type Held = z.infer<typeof Held>;

/** All that a member runs. */
export const Report = z.object({
  /** Of the leadership that it knows of. */
  epoch: z.number(),
  instance: z.string(),
  /** Version of Leafmesh. */
  software: z.string(),
  /** It ends, and takes no more views. */
  leaving: z.boolean(),
  held: z.array(Held),
  /** How often it has dropped all that it ran. */
  drops: z.number(),
  /** Numbers of the views of which any has changed since it was last told. */
  stats: z.record(z.string(), z.custom<ViewStats>()),
});
export type Report = z.infer<typeof Report>;

/**
 * - `granted`: all that was reported may be written for {@link MEMBER_TIMES.holdMs} from when this was asked
 * - `drop`: others may have it: nothing of it may be written any more
 */
export const Answer = z.object({ type: z.enum(["granted", "drop"]) });
export type Answer = z.infer<typeof Answer>;

export const Order = z.discriminatedUnion("type", [
  /** Another leadership has begun: answered with a {@link Report}. */
  z.object({ type: z.literal("enter"), epoch: z.number() }),
  /** Whether it has what a view's policy needs. */
  z.object({ type: z.literal("prepare"), epoch: z.number(), ...Documents }),
  /** Starts a view; one that runs decides by the new policy from now on. */
  z.object({ type: z.literal("set"), epoch: z.number(), placing: Placing, ...Documents }),
  z.object({ type: z.literal("stop"), epoch: z.number(), key: z.string() }),
  z.object({
    type: z.literal("redrive"),
    epoch: z.number(),
    tenant: z.string(),
    policy: z.string(),
    sequences: z.array(z.number()),
    dryRun: z.boolean(),
  }),
]);
export type Order = z.infer<typeof Order>;
export type Documents = Pick<Extract<Order, { readonly type: "prepare" }>, keyof typeof Documents>;

/** A view's documents, as they are sent. */
export function documentsOf(target: ViewTarget, { compile, version }: ViewPolicy): Documents {
  return { target, version, policy: compile.policy, schemas: compile.schemas ?? [] };
}

/** What each order is answered with. */
export interface OrderAnswers {
  readonly enter: Report;
  readonly prepare: null;
  /** Source sequence of the last event that the policy before decided; 0 for a view that starts. */
  readonly set: { readonly position: number };
  /** What it has done, to the last event. */
  readonly stop: { readonly stats: ViewStats | null };
  readonly redrive: readonly (Redriven | null)[];
}

export function encode(message: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(message));
}

export function decode(bytes: Uint8Array): unknown {
  return JSON.parse(new TextDecoder().decode(bytes));
}

/** Whether a placing is of later than another one. */
export function isLater(left: Placing, right: Placing): boolean {
  return left.epoch === right.epoch ? left.number > right.number : left.epoch > right.epoch;
}

export function isSame(left: Placing | undefined, right: Placing): boolean {
  return left !== undefined && left.epoch === right.epoch && left.number === right.number;
}
