/** What a sidecar must be to work with the members of its site. */
import { errorText, LeafmeshError } from "../../model/errors.ts";
import { sleep } from "../../nats/wait.ts";
import { MEMBER_TIMES, MEMBERS_PROTOCOL, type ProcessMark } from "./heartbeat.ts";
import type { MemberTable } from "./member_table.ts";

/** How long a member that is not alone waits for the server's answer. */
const ANSWER_WITHIN_MS = 30_000;

export interface JoiningOptions {
  readonly table: MemberTable;
  readonly name: string;
  /** `null`: they are those of the data folder that all members share. */
  readonly keys: string | null;
  readonly process: ProcessMark;
  /** Whether a process of this machine runs. */
  readonly isRunning: (mark: ProcessMark) => Promise<boolean>;
}

/**
 * Looks whether a sidecar can be one of the members.
 * @returns revision of an old heartbeat under its name; 0: there is none
 * @throws LeafmeshError `conflict` when another sidecar has the name, other keys or another protocol
 */
export async function requireJoinable({ table, name, keys, ...own }: JoiningOptions): Promise<number> {
  let revision = 0;
  const there = await table.heartbeat(name);
  if (there !== null) {
    const { value } = there;
    const here = value.process.host === own.process.host;
    if (here ? await own.isRunning(value.process) : await moves(table, name, there.revision)) {
      throw new LeafmeshError(
        "conflict",
        `The site has a sidecar with the member name ${name} (process ${value.process.pid}): give this one another with --member`,
      );
    }
    revision = (await table.heartbeat(name))?.revision ?? 0;
  }
  const lease = (await table.lease())?.value ?? null;
  if (lease === null || lease.holder === null || lease.holder.name === name) return revision;
  if (lease.protocol !== MEMBERS_PROTOCOL) {
    throw new LeafmeshError(
      "conflict",
      `Member ${lease.holder.name} speaks version ${lease.protocol} of the members' protocol, this one ${MEMBERS_PROTOCOL}: stop all of one version before one of the other starts`,
    );
  }
  if (keys !== null && lease.keys !== keys) throw otherKeys(lease.holder.name);
  return revision;
}

/**
 * The same where the server may not answer: a member that is alone comes in all the same, it may be the one to mend it; another
 * one waits for a while.
 * @throws LeafmeshError as {@link requireJoinable}; `server_failed`
 */
export async function joinable(options: JoiningOptions, alone?: () => Promise<boolean>): Promise<number> {
  const end = performance.now() + ANSWER_WITHIN_MS;
  for (;;) {
    try {
      return await requireJoinable(options);
    } catch (error) {
      if (error instanceof LeafmeshError) throw error;
      if ((await alone?.().catch(() => false)) === true) return 0;
      if (performance.now() > end) {
        throw new LeafmeshError(
          "server_failed",
          `The members of the site cannot be looked up: ${errorText(error)}`,
        );
      }
      await sleep(MEMBER_TIMES.tickMs);
    }
  }
}

/** Says that the keys of a member are others than those of this one. */
export function otherKeys(name: string): LeafmeshError {
  return new LeafmeshError(
    "conflict",
    `The keys in this data folder are others than those of member ${name}: copy the folder keys/ of its data folder here, as it is, and start again`,
  );
}

/** Whether a heartbeat is renewed, as far as can be seen. */
async function moves(table: MemberTable, name: string, revision: number): Promise<boolean> {
  await new Promise((resolve) => setTimeout(resolve, MEMBER_TIMES.takeMs));
  return ((await table.heartbeat(name))?.revision ?? revision) !== revision;
}
