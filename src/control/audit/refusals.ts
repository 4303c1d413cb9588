/** What is refused to those who do not come through the API, as the trail tells of it. */
import { tenantAccount } from "../../model/names.ts";
import type { JoinAudit } from "../join_desk.ts";
import type { Audit } from "./audit.ts";

/** Of a request of a peer's sidecar. */
export function refusedRequest(audit: Audit, site: string) {
  return (peer: string, verb: string, why: string): void =>
    audit.denied({
      who: { type: "peer", name: peer },
      from: `link ${peer}`,
      operation: `rpc ${verb}`,
      target: site,
      result: why,
    });
}

/** Of a RESET of a tenant's log that its server has not asked for. */
export function refusedReset(audit: Audit) {
  return (tenant: string, stream: string): void =>
    audit.denied({
      who: null,
      from: tenantAccount(tenant),
      operation: "log reset",
      target: `${tenant}/log`,
      result: `The log of ${tenant} is attached to ${stream}: somebody in the tenant's account has asked for a RESET`,
    });
}

/** Of sites that show an invitation, and what those change that are let in. */
export function joinAudit(audit: Audit): JoinAudit {
  const from = (invitation: string) => `invitation ${invitation}`;
  return {
    as: (site, invitation, work) => audit.as({ type: "peer", name: site }, from(invitation), work),
    // Who it is has not been proved: the invitation says whom it was meant for.
    refused: (site, invitation, why) =>
      audit.denied({
        who: null,
        from: from(invitation),
        operation: "join",
        target: `peer ${site}`,
        result: why,
      }),
  };
}
