/** Who listens and is not there, at a site's servers: looked for by the sidecar that leads. */
import type { JetStreamManager } from "@nats-io/jetstream";
import type { GhostInterest } from "../control/ghost_interest.ts";
import {
  LeftListeners,
  type LeftListenersOptions,
  sourceSubjects,
  streamConfigs,
} from "../control/left_listeners.ts";
import type { Step } from "../control/step.ts";
import { MESH_ACCOUNT } from "../model/names.ts";
import { listenersOf } from "../nats/listeners.ts";
import type { StoreWatch } from "../nats/store_watch.ts";
import type { SystemApi } from "../nats/system_api.ts";

export interface WatchedListeners extends Pick<LeftListenersOptions, "alarms" | "log"> {
  readonly system: SystemApi;
  /** JetStream of MESH. */
  readonly mesh: JetStreamManager;
  /** What is about to be done. */
  readonly steps: () => readonly Step[];
  readonly ghosts: GhostInterest;
  /** What can restart the server; `null`: nobody here. */
  readonly store: StoreWatch | null;
}

/** Looks until it is disposed of. */
export function watchLeftListeners({
  system,
  mesh,
  steps,
  ghosts,
  store,
  ...told
}: WatchedListeners): LeftListeners {
  return new LeftListeners({
    server: () => system.serverName,
    listeners: (subject) => listenersOf(system, MESH_ACCOUNT, subject),
    subjects: async () => sourceSubjects(await streamConfigs(mesh), steps()),
    others: () => ghosts.left(),
    restart: store === null ? null : (why) => store.restart(why),
    ...told,
  });
}
