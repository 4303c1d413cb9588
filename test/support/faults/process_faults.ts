/** Processes that are killed, restarted and stopped for a while. */
import process from "node:process";
import { waitFor } from "../wait_for.ts";
import { between, type Fault, pause } from "./fault.ts";
import type { SidecarProcess } from "./world.ts";

const READY_WITHIN_MS = 180_000;

/** Starts a sidecar again, as often as it takes: a server that was killed with it may still be coming up. */
export async function startAgain(sidecar: SidecarProcess): Promise<void> {
  await waitFor(
    async () => {
      await sidecar.end("SIGKILL");
      await sidecar.start();
      return true;
    },
    { what: `${sidecar.name} to be ready again`, deadlineMs: READY_WITHIN_MS },
  );
}

/** A sidecar that is ended, and started again after a while of up to `awayMs`. */
function ended(
  fault: Pick<Fault, "name" | "weight">,
  how: {
    readonly what: string;
    readonly signal: "SIGKILL" | "SIGTERM";
    readonly awayMs: number;
    readonly server?: true;
  },
): Fault {
  return {
    ...fault,
    lane: "process",
    run: async (run) => {
      const { world, random, site, note } = run;
      const pid = how.server === true ? await world.serverPid(site) : null;
      const sidecar = world.sidecar(site, random);
      const which = sidecar.name === site ? site : `${site} (${sidecar.name})`;
      note(`${how.signal} of ${how.what} of ${which}`);
      if (pid !== null) process.kill(pid, how.signal);
      await sidecar.end(how.signal);
      await pause(between(random, 0, how.awayMs));
      await startAgain(sidecar);
      note(`the sidecar of ${which} runs again`);
    },
  };
}

const SIDECAR_KILLED = ended(
  { name: "sidecar killed", weight: 4 },
  { what: "the sidecar", signal: "SIGKILL", awayMs: 4000 },
);

const SIDECAR_STOPPED = ended(
  { name: "sidecar restarted", weight: 2 },
  { what: "the sidecar, and its server with it,", signal: "SIGTERM", awayMs: 3000 },
);

const BOTH_KILLED = ended(
  { name: "site killed", weight: 2 },
  { what: "the sidecar and the server", signal: "SIGKILL", awayMs: 3000, server: true },
);

const SERVER_KILLED: Fault = {
  name: "server killed",
  lane: "process",
  weight: 3,
  run: async ({ world, site, note }) => {
    const pid = await world.serverPid(site);
    if (pid === null) return;
    note(`SIGKILL of the server of ${site}`);
    process.kill(pid, "SIGKILL");
    await waitFor(
      async () => {
        const now = await world.serverPid(site);
        return now !== null && now !== pid;
      },
      { what: `the keeper to start the server of ${site}`, deadlineMs: READY_WITHIN_MS },
    );
    note(`the server of ${site} runs again`);
  },
};

/** Stops a process for a while, as a machine does that swaps, or a virtual one that is moved. */
async function freeze(pid: number, ms: number): Promise<void> {
  process.kill(pid, "SIGSTOP");
  try {
    await pause(ms);
  } finally {
    process.kill(pid, "SIGCONT");
  }
}

const SIDECAR_FROZEN: Fault = {
  name: "sidecar frozen",
  lane: "process",
  weight: 3,
  run: async ({ world, random, site, note }) => {
    const ms = between(random, 500, 8000);
    note(`SIGSTOP of the sidecar of ${site} for ${ms} ms`);
    await freeze(world.sidecar(site, random).pid, ms);
  },
};

/** Stops the sidecar that leads until the other one surely does. */
const LEADER_FROZEN: Fault = {
  name: "leader frozen",
  lane: "process",
  weight: 3,
  unavailable: (world) => (world.seconds.size === 0 ? "each site has one sidecar" : null),
  run: async ({ world, random, site, note }) => {
    const ms = between(random, 3000, 6000);
    const leader = await waitFor(() => world.leader(site), {
      what: `a sidecar of ${site} that leads`,
      deadlineMs: READY_WITHIN_MS,
    });
    note(`SIGSTOP of the sidecar that leads ${site} for ${ms} ms`);
    await freeze(leader.pid, ms);
  },
};

const SERVER_FROZEN: Fault = {
  name: "server frozen",
  lane: "process",
  weight: 2,
  run: async ({ world, random, site, note }) => {
    const pid = await world.serverPid(site);
    if (pid === null) return;
    const ms = between(random, 500, 8000);
    note(`SIGSTOP of the server of ${site} for ${ms} ms`);
    await freeze(pid, ms);
  },
};

export const PROCESS_FAULTS: readonly Fault[] = [
  SIDECAR_KILLED,
  SIDECAR_STOPPED,
  SERVER_KILLED,
  BOTH_KILLED,
  SIDECAR_FROZEN,
  LEADER_FROZEN,
  SERVER_FROZEN,
];
