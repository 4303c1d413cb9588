/** An nats-server that somebody else runs: is everything in force that Leafmesh needs? */
import { LeafmeshError, type Problem } from "../model/errors.ts";
import { type LinkMode, linkedState } from "../model/links.ts";
import { linkAccount, MESH_ACCOUNT, tenantAccount } from "../model/names.ts";
import { dialUrls } from "../model/schema/site.ts";
import { type ConfigInput, maxPayloadBytes } from "./config.ts";
import { accountCrossings, type Crossing } from "./config_accounts.ts";
import { isNewEnough, MINIMUM_SERVER_VERSION } from "./find.ts";
import type { AccountInfo, ServerInfo } from "./system_answers.ts";
import type { SystemApi } from "./system_api.ts";

/** What the fragment is compared by; addresses and paths are the owner's. */
export type FragmentInput = Pick<ConfigInput, "desired" | "sync"> & { readonly links?: LinkMode };

/**
 * Compares the running server with what `renderFragment` asks for. Who may log in cannot be asked of a server: a
 * missing user shows when it connects.
 *
 * @throws LeafmeshError `server_fragment_missing` with a problem for each thing that is missing, `server_too_old`
 */
export async function verifyFragment(system: SystemApi, given: FragmentInput): Promise<void> {
  const links = given.links ?? "plain";
  const input = { ...given, desired: linkedState(given.desired, links), links };
  const varz = await system.varz();
  if (!isNewEnough(varz.version)) {
    throw new LeafmeshError(
      "server_too_old",
      `The nats-server is ${varz.version}, but ${MINIMUM_SERVER_VERSION} or newer is needed`,
    );
  }
  const problems = [...serverProblems(varz, input), ...(await accountProblems(system, input))];
  if (problems.length === 0) return;
  throw new LeafmeshError(
    "server_fragment_missing",
    `The nats-server lacks ${problems.length} parts of the configuration fragment: include it and reload the server twice`,
    { problems },
  );
}

function serverProblems(varz: ServerInfo, { desired, sync, links }: FragmentInput): Problem[] {
  const problems: Problem[] = [];
  const expect = (ok: boolean, path: string, message: string) => {
    if (!ok) problems.push({ path, message });
  };
  const jetstream = varz.jetstream?.config;
  expect(jetstream !== undefined, "jetstream", "is not enabled");
  expect(
    jetstream?.domain === desired.site,
    "jetstream.domain",
    `is '${jetstream?.domain ?? ""}', expected '${desired.site}'`,
  );
  expect(
    sync !== "always" || jetstream?.sync_always === true,
    "jetstream.sync_interval",
    "is not 'always': power loss would lose events that were acknowledged; or set server.sync to what you accept",
  );
  expect(varz.feature_flags?.js_ack_fc_v2 === true, "feature_flags.js_ack_fc_v2", "is not true");
  const payload = maxPayloadBytes(desired);
  expect(varz.max_payload >= payload, "max_payload", `is ${varz.max_payload}, expected ${payload} or more`);
  expect(
    (varz.leaf?.port ?? 0) > 0 || desired.peers.every((peer) => peer.dial !== undefined),
    "leafnodes.listen",
    "is not set, and there are peers that dial us",
  );
  expect(
    links !== "tls" || varz.leaf?.tls_required === true,
    "leafnodes.tls",
    "is not in force: peers could connect without TLS",
  );
  const remotes = new Set(varz.leaf?.remotes?.map((remote) => remote.local_account));
  for (const peer of desired.peers) {
    if (peer.dial === undefined) continue;
    const account = linkAccount(peer.name);
    expect(
      remotes.has(account),
      "leafnodes.remotes",
      `have none for account ${account} (${dialUrls(peer).join(", ")})`,
    );
  }
  return problems;
}

async function accountProblems(system: SystemApi, { desired }: FragmentInput): Promise<Problem[]> {
  const withJetStream = new Set([
    MESH_ACCOUNT,
    ...desired.tenants.map((tenant) => tenantAccount(tenant.name)),
  ]);
  const links = desired.peers.map((peer) => linkAccount(peer.name));
  const crossings = accountCrossings(desired);
  const problems: Problem[] = [];
  for (const name of [...withJetStream, ...links]) {
    const path = `accounts.${name}`;
    const account = await system.account(name);
    if (account === null) {
      problems.push({ path, message: "does not exist" });
      continue;
    }
    if (withJetStream.has(name) && !account.jetstream_enabled) {
      problems.push({ path: `${path}.jetstream`, message: "is not enabled" });
    }
    for (const crossing of crossings) {
      if (crossing.from === name && !exports(account, crossing)) {
        const message = `lack ${crossing.type} '${crossing.subject}' for ${crossing.to}`;
        problems.push({ path: `${path}.exports`, message });
      }
      if (crossing.to === name && !imports(account, crossing)) {
        const message = `lack ${crossing.type} '${crossing.subject}' of ${crossing.from} as '${crossing.as ?? crossing.subject}'`;
        problems.push({ path: `${path}.imports`, message });
      }
    }
  }
  return problems;
}

function exports(account: AccountInfo, { type, subject, to }: Crossing): boolean {
  return (account.exports ?? []).some(
    (found) =>
      found.type === type && found.subject === subject && found.approved_accounts?.includes(to) === true,
  );
}

function imports(account: AccountInfo, { type, subject, from, as }: Crossing): boolean {
  return (account.imports ?? []).some(
    (found) =>
      found.type === type &&
      found.subject === subject &&
      found.account === from &&
      found.local_subject === (as ?? subject) &&
      !found.invalid,
  );
}
