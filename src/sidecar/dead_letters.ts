/** The dead letters as the API asks for them: from the stream of the tenant, redriven by the views. */
import type { JetStreamManager } from "@nats-io/jetstream";
import type { DeadLetters } from "../control/dead_letter_api.ts";
import {
  type DeadLetterFilter,
  getDeadLetter,
  listDeadLetters,
  removeDeadLetter,
  removeDeadLetters,
} from "../flow/dead_letters.ts";
import type { RedriveJobs } from "../flow/redrive_jobs.ts";
import { LeafmeshError } from "../model/errors.ts";
import type { QuarantineReason } from "../model/event.ts";
import { headerRecord } from "../policy/header_text.ts";

/** Reads and removes dead letters over the sidecar's connection, and redrives them as `jobs`. */
export function deadLettersOf(mesh: JetStreamManager, jobs: RedriveJobs): DeadLetters {
  return {
    async list(tenant, { after, limit, ...filter }) {
      const none = { letters: [], next: null };
      return await orNone(none, async () => {
        const { letters, next } = await listDeadLetters(mesh, tenant, { after, limit, ...filterOf(filter) });
        return {
          letters: letters.map(({ version, truncated: _truncated, headers, ...letter }) => ({
            ...letter,
            policyVersion: version,
            headers: headerRecord(headers),
          })),
          next,
        };
      });
    },
    async show(tenant, sequence, { payload }) {
      const letter = await getDeadLetter(mesh, tenant, sequence);
      const { version, headers, data, epoch: _epoch, eventTimeMs: _time, ...rest } = letter;
      return {
        ...rest,
        policyVersion: version,
        headers: headerRecord(headers),
        sizeBytes: data.length,
        payload: payload ? data : null,
      };
    },
    async remove(tenant, sequence) {
      if (await removeDeadLetter(mesh, tenant, sequence)) return;
      throw new LeafmeshError("not_found", `Tenant '${tenant}' has no dead letter ${sequence}`);
    },
    drop: (tenant, filter, options) =>
      orNone(0, () => removeDeadLetters(mesh, tenant, filterOf(filter), options)),
    redrive: (tenant, { filter, ...request }) => jobs.start(tenant, { ...request, filter: filterOf(filter) }),
    redrives: (tenant) => jobs.list(tenant),
    redriveOf: (tenant, id, { waitMs }) => jobs.get(tenant, id, waitMs),
    cancelRedrive: (tenant, id) => jobs.cancel(tenant, id),
  };
}

/** A reason that is none matches nothing. */
function filterOf({ reason, ...filter }: { readonly reason?: string }): DeadLetterFilter {
  return { ...filter, ...(reason === undefined ? {} : { reason: reason as QuarantineReason }) };
}

/** A tenant without a view has no dead-letter stream, and no dead letters. */
async function orNone<T>(none: T, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof LeafmeshError && error.code === "not_found") return none;
    throw error;
  }
}
