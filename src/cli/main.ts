#!/usr/bin/env bun
/** The program `leafmesh`. */
import process from "node:process";
import { systemEffects } from "./effects.ts";
import { runCli } from "./run.ts";

process.exitCode = await runCli(process.argv.slice(2), systemEffects());
