/** Which steps go on alone, and which must not come after one that failed. Pure. */
import { peerConsumer } from "../model/names.ts";
import type { Step } from "./step.ts";

/** Steps of these types that follow each other are about different things, and a site of many tenants has many of them. */
const TOGETHER: ReadonlySet<Step["type"]> = new Set(["create-stream", "create-consumer", "place-route"]);

/** The steps in their order, those together that do not wait for each other. */
export function independent(steps: readonly Step[]): readonly (readonly Step[])[] {
  const groups: Step[][] = [];
  for (const step of steps) {
    const group = groups.at(-1);
    if (group?.[0]?.type === step.type && TOGETHER.has(step.type)) group.push(step);
    else groups.push([step]);
  }
  return groups;
}

/**
 * The consumer or view that a step closes, narrows or decides anew. Where the step fails, it may still let pass what the policy of
 * now does not: nothing that {@link opens} it may come after. `null`: none.
 */
export function narrows(step: Step): string | null {
  switch (step.type) {
    case "update-consumer":
      return consumerKey(step.stream, step.spec.durable_name);
    case "pause-consumer":
      return consumerKey(step.stream, step.consumer);
    case "change-view":
      return step.plan.stream;
    default:
      return null;
  }
}

/** The consumers that a step sets going or moves a peer away from, and the views that they give events of. */
export function opens(step: Step): readonly string[] {
  switch (step.type) {
    case "resume-consumer":
      return [consumerKey(step.stream, step.consumer), step.stream];
    case "place-route":
    case "widen-route": {
      const { export: plan, peer } = step.route;
      return [consumerKey(plan.stream, peerConsumer(peer)), plan.stream];
    }
    case "switch-route": {
      const { route, from } = step;
      return [consumerKey(from.stream, from.consumer), route.export.stream];
    }
    default:
      return [];
  }
}

function consumerKey(stream: string, consumer: string): string {
  return `${stream}/${consumer}`;
}
