/** The alarms of a site. */
import type { Alarm } from "../../src/model/alarms.ts";
import type { MeshSite } from "./mesh.ts";
import { waitFor } from "./wait_for.ts";

/** Those that are raised. */
export async function alarmsOf(site: MeshSite): Promise<readonly Alarm[]> {
  return (await site.json<{ items: readonly Alarm[] }>("/v1/alarms")).items;
}

/** Waits until an alarm is over, whatever it was raised for. */
export async function alarmIsOver(site: MeshSite, alarm: string): Promise<void> {
  const isOver = async () => (await alarmsOf(site)).every(({ name }) => name !== alarm);
  await waitFor(isOver, { what: `${alarm} to be over`, deadlineMs: 60_000 });
}
