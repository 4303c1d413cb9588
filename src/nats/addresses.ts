/** The addresses a server listens at: parsing, free ports, and who has one already. */
import { createServer, type Server } from "node:net";
import { z } from "zod";
import { errorText, LeafmeshError } from "../model/errors.ts";
import { type DataFolder, readDataFile } from "./data_folder.ts";
import { errorCode, writeSecretFile } from "./files.ts";
import { readRunningProcess } from "./processes.ts";

export const DEFAULT_LISTEN = "127.0.0.1:4222";
export const DEFAULT_LEAF = "127.0.0.1:7422";

/** Addresses with real ports, `host:port`. */
export interface ServerAddresses {
  /** For apps and the sidecar. */
  readonly listen: string;
  /** For peers. */
  readonly leaf: string;
}

export interface HostPort {
  /** Without the brackets of IPv6. */
  readonly host: string;
  readonly port: number;
}

const Remembered = z.object({ listen: z.string(), leaf: z.string() });

/** Host and port of `host:port` or `[v6]:port`. */
export function parseAddress(address: string): HostPort {
  const at = address.lastIndexOf(":");
  return { host: address.slice(0, at).replace(/^\[|\]$/g, ""), port: Number(address.slice(at + 1)) };
}

/** `host:port`, with brackets around IPv6. */
export function formatAddress({ host, port }: HostPort): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Where a client of this machine reaches a server that listens at `address`: a wildcard host becomes loopback. */
export function localAddress(address: string): string {
  const { host, port } = parseAddress(address);
  const local = host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "::1" : host;
  return formatAddress({ host: local, port });
}

/**
 * Turns the settings into real addresses. Port 0 becomes a free port that the data folder remembers, so that clients
 * find the server again after a restart.
 */
export async function resolveAddresses(
  folder: DataFolder,
  settings: { readonly listen?: string | undefined; readonly leaf?: string | undefined },
): Promise<ServerAddresses> {
  const wanted = { listen: settings.listen ?? DEFAULT_LISTEN, leaf: settings.leaf ?? DEFAULT_LEAF };
  const before = await remembered(folder);
  const running = (await readRunningProcess(folder.file("serverPid"))) !== null;
  const pick = async (name: keyof ServerAddresses, taken?: string): Promise<string> => {
    const { host, port } = parseAddress(wanted[name]);
    if (port !== 0) return wanted[name];
    const last = before?.[name];
    if (last !== undefined && parseAddress(last).host === host && (running || (await isFree(last))))
      return last;
    const free = (await freePorts(host, 2)).map((found) => formatAddress({ host, port: found }));
    return free.find((address) => address !== taken) ?? wanted[name];
  };
  const listen = await pick("listen");
  const addresses = { listen, leaf: await pick("leaf", listen) };
  await writeSecretFile(folder.file("ports"), `${JSON.stringify(addresses)}\n`, "replace");
  return addresses;
}

/** A port that is remembered must be free again after a restart. Systems give those from 32768 on to outgoing connections, by default. */
const FIRST_PORT = 12_000;
const END_PORT = 32_000;
const TRIES = 20;

/**
 * Checks that a server can listen at both addresses.
 *
 * @throws LeafmeshError `port_taken` naming the address and the setting, `config_invalid` when it is none of this machine
 */
export async function requireFree(addresses: ServerAddresses): Promise<void> {
  for (const name of ["listen", "leaf"] as const) {
    const address = addresses[name];
    try {
      await close(await listen(parseAddress(address)));
    } catch (thrown) {
      if (errorCode(thrown) === "EADDRINUSE") {
        throw new LeafmeshError(
          "port_taken",
          `${address} is in use: another nats-server or sidecar? Stop it, or set server.${name}`,
          { cause: thrown },
        );
      }
      throw new LeafmeshError(
        "config_invalid",
        `server.${name}: cannot listen at ${address}: ${errorText(thrown)}`,
        { cause: thrown },
      );
    }
  }
}

/** Ports of `host` that nothing listens at, no two the same; not of those that outgoing connections take, as long as there are others. */
export async function freePorts(host: string, count: number): Promise<number[]> {
  const servers = await Promise.all(Array.from({ length: count }, () => listenAnywhere(host)));
  const ports = servers.map((server) => {
    const address = server.address();
    return address === null || typeof address === "string" ? 0 : address.port;
  });
  await Promise.all(servers.map(close));
  return ports;
}

async function listenAnywhere(host: string): Promise<Server> {
  for (let tries = 0; tries < TRIES; tries++) {
    const port = FIRST_PORT + Math.floor(Math.random() * (END_PORT - FIRST_PORT));
    const server = await listen({ host, port }).catch(() => null);
    if (server !== null) return server;
  }
  return await listen({ host, port: 0 });
}

/** Whether a server could listen at an address. */
export async function isFree(address: string): Promise<boolean> {
  return await listen(parseAddress(address)).then(
    async (server) => {
      await close(server);
      return true;
    },
    () => false,
  );
}

async function remembered(folder: DataFolder): Promise<ServerAddresses | null> {
  try {
    return Remembered.parse(JSON.parse((await readDataFile(folder, "ports")) ?? ""));
  } catch {
    return null;
  }
}

async function listen(address: HostPort): Promise<Server> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ ...address, exclusive: true }, resolve);
  });
  return server;
}

async function close(server: Server): Promise<void> {
  await new Promise<void>((resolve) => server.close(() => resolve()));
}
