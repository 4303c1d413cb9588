/** The API at each sidecar: of the site where this one leads, else handed to the one that does. */
import { createStandbyApi } from "../../routes/standby.ts";
import type { MemberRpc } from "../control/members/member_rpc.ts";
import type { Members } from "../control/members/members.ts";
import { LeafmeshError } from "../model/errors.ts";
import type { Log } from "../observe/log.ts";
import type { ServeOptions } from "../runtime/serve.ts";
import { apiLog } from "./adapters.ts";
import type { ApiAddress } from "./api_server.ts";
import { API_VERB, answerForwarded, forwardRequest } from "./forward.ts";
import type { LedSite } from "./lead.ts";
import type { Leadership } from "./leadership.ts";
import { VERSION } from "./version.ts";

export interface ApiFrontOptions {
  readonly members: Members;
  readonly rpc: MemberRpc;
  readonly leadership: Leadership<LedSite>;
  readonly address: ApiAddress;
  readonly tls: boolean;
  readonly log: Log;
  /** Prometheus text about this sidecar alone. */
  readonly metrics: () => string;
  /** What is wrong with the server that this sidecar keeps while it does not lead. */
  readonly serverReasons: () => Promise<readonly string[]>;
}

/** What answers requests at this sidecar. */
export function apiFront({
  members,
  rpc,
  leadership,
  address,
  tls,
  log,
  metrics,
  serverReasons,
}: ApiFrontOptions): ServeOptions["fetch"] {
  rpc.handle(API_VERB, async ({ body }) => {
    const { site } = leadership;
    if (site === null) {
      throw new LeafmeshError("no_leader", `Member ${members.name} does not lead the site: ask again`);
    }
    return await answerForwarded(body, site.fetch);
  });
  const standby = createStandbyApi({
    version: VERSION,
    log: apiLog(log),
    tls,
    ...(address.knowsHost === undefined ? {} : { knowsHost: address.knowsHost }),
    reasons: async () => {
      const led = members.leader !== null && members.leader !== members.name;
      return [...(led ? [] : ["no sidecar leads the site"]), ...(await serverReasons())];
    },
    metrics,
    forward: (request) => forwardRequest(members, rpc, request),
  });
  return (request, client) => (leadership.site ?? standby).fetch(request, { address: client.address });
}
