/** The RESETs of peers and of the tenants' logs, which lead to the sidecar. */

import type { Attachments } from "./attachments.ts";
import { refusedReset } from "./audit/refusals.ts";
import { LogGate } from "./log_gate.ts";
import { RouteGate } from "./route_gate.ts";
import type { SiteControlOptions } from "./site_options.ts";

export type GatesOptions = Pick<
  SiteControlOptions,
  "site" | "nc" | "mesh" | "tenant" | "ghosts" | "audit" | "log"
>;

/** Answers them until it is disposed of. @param attachments is told of those that were passed on */
export function openGates(options: GatesOptions, attachments: Attachments): Disposable {
  const { site, nc, mesh, tenant, ghosts, audit, log } = options;
  const route = new RouteGate({ site, nc, mesh, attachments, ghosts, log });
  const logs = new LogGate({ nc, mesh, attachments, tenant, refused: refusedReset(audit) });
  return {
    [Symbol.dispose]: () => {
      logs[Symbol.dispose]();
      route[Symbol.dispose]();
    },
  };
}
