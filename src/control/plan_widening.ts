/**
 * Steps for a native route that lets more pass than before. RESET can take a peer's consumer back to its begin, and there its new
 * filter would let pass what the policy of then did not. So the consumer is made anew, beginning after all that the peer has.
 */
import type { ConsumerInfo } from "@nats-io/jetstream";
import { intersectSets } from "../model/subject.ts";
import { outsideOf } from "../model/subject_cover.ts";
import { UNKNOWN_PEER } from "./agreement.ts";
import type { ConsumerSpec } from "./assets.ts";
import { consumerDifferences, filtersOfConsumer } from "./differences.ts";
import type { PlanInput } from "./plan.ts";
import type { OutRoute } from "./routes.ts";
import type { Start, Step } from "./step.ts";

/**
 * Whether the consumer of a route would have to let more pass. That of a mirror is left out: a mirror cannot be detached, and takes
 * the events of another consumer for those of its own.
 */
export function widens(input: PlanInput, route: OutRoute, consumer: ConsumerInfo): boolean {
  if (route.export.route.type !== "native" || route.hold !== null) return false;
  const { accepted } = input.peers.get(route.peer) ?? UNKNOWN_PEER;
  const { tenant, origin } = route.export;
  if (accepted?.some((one) => one.mirror && one.tenant === tenant.name && one.origin === origin))
    return false;
  const before = filtersOfConsumer(consumer.config);
  return before.length > 0 && route.filters.some((pattern) => outsideOf(pattern, before) !== null);
}

/** Narrows the consumer to what it let pass before and may still; then it is made anew with the rest. */
export function planWidening(
  route: OutRoute,
  consumer: ConsumerInfo,
  {
    spec,
    start,
    agreed,
  }: {
    readonly spec: ConsumerSpec;
    readonly start: Extract<Start, { type: "new" }>;
    readonly agreed: boolean;
  },
): {
  readonly pauses: readonly Step[];
  readonly steps: readonly Step[];
  readonly switches: readonly Step[];
  /** Whether anything of what the consumer let pass before is still allowed. */
  readonly rest: boolean;
} {
  const { stream } = route.export;
  const left = intersectSets(route.filters, filtersOfConsumer(consumer.config));
  const narrowed = { ...spec, filter_subjects: left };
  const changed = left.length === 0 ? [] : consumerDifferences(narrowed, consumer.config);
  const why = "the policy allows nothing any more of what it let pass";
  return {
    pauses:
      left.length > 0 || consumer.paused
        ? []
        : [{ type: "pause-consumer", stream, consumer: route.peer, why }],
    steps: changed.length === 0 ? [] : [{ type: "update-consumer", stream, spec: narrowed, changed }],
    switches: agreed ? [{ type: "widen-route", route, spec, start, rest: left.length > 0 }] : [],
    rest: left.length > 0,
  };
}
