/**
 * Which processes belong to which generation. No single sign finds them all: apps move to the background and start workers
 * in their own sessions (so parent, group and session do not help), nginx and others overwrite their environment, and
 * daemons close descriptors.
 *
 * @module
 */
import { randomUUID } from "node:crypto";
import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import {
  environmentOf,
  groupRuns,
  type ProcessEntry,
  processTable,
} from "../../host/process/processes.ts";
import { socketInode, socketLink } from "../../host/sockets/socket_table.ts";
import { attempt, type GenerationCgroups, generationCgroups } from "./cgroup.ts";

export const ROOT_VARIABLE = "DEWY_ROOT";
/** Counts the starts of the app; after a restart of dewy it begins with 1 again. */
export const GENERATION_VARIABLE = "DEWY_GENERATION";
export const TAG_VARIABLE = "DEWY_TAG";
export const RELEASE_VARIABLE = "DEWY_RELEASE_DIR";
/** Unique for each generation, across machines. */
export const ID_VARIABLE = "DEWY_GENERATION_ID";

export interface GenerationMark {
  readonly id: string;
  /** The main process, which leads a session. */
  readonly pid: number;
  readonly startTime: string;
  /** The other end of the readiness descriptor, such as `socket:[123]`, which is unique for each generation. */
  readonly channel: string | undefined;
  readonly sockets: readonly MarkedSocket[];
}

export interface MarkedSocket {
  readonly link: string;
  /** Whether systemd or a server-starter opened it, and may have passed it to other programs as well. */
  readonly inherited: boolean;
}

export function markedSocket(fd: number, inherited: boolean): readonly MarkedSocket[] {
  const inode = socketInode(fd);
  return inode === undefined ? [] : [{ link: socketLink(inode), inherited }];
}

/** The id of processes of an earlier dewy that only an open socket identifies. */
const NAMELESS = "";
/** The owner of dewy itself, its hooks and helpers. */
const DEWY = "dewy";

export class GenerationMembers {
  readonly #root: string;
  readonly #sockets: readonly MarkedSocket[];
  readonly #marks = new Map<string, GenerationMark>();
  readonly #instance = randomUUID();
  readonly #cgroups: GenerationCgroups;

  constructor(root: string, sockets: readonly MarkedSocket[] = []) {
    this.#root = root;
    this.#sockets = sockets;
    this.#cgroups = generationCgroups(root);
  }

  idOf(number: number): string {
    return `${this.#instance}.${number}`;
  }

  makeCgroup(id: string): string | undefined {
    return this.#cgroups.make(id);
  }

  add(mark: GenerationMark): void {
    this.#marks.set(mark.id, mark);
  }

  remove(id: string): void {
    this.#marks.delete(id);
    this.#cgroups.remove(id);
  }

  /** Returns the running processes of a generation. Without `/proc`, its main process stands for the whole group. */
  async of(id: string): Promise<readonly ProcessEntry[]> {
    const mark = this.#marks.get(id);
    const since = mark === undefined ? 0 : Number(mark.startTime);
    const scan = async (): Promise<readonly ProcessEntry[] | undefined> =>
      (await this.#scan(since)).get(id);
    // A process that forks and exits during a scan is not in it any more, and its child is not in it yet.
    return (await scan()) ?? (await scan()) ?? (mark === undefined ? [] : groupOf(mark));
  }

  async ofEarlierDewys(): Promise<ReadonlyMap<string, readonly ProcessEntry[]>> {
    const found = await this.#scan(0);
    return new Map([...found].filter(([id]) => !this.#marks.has(id)));
  }

  async #scan(since: number): Promise<ReadonlyMap<string, readonly ProcessEntry[]>> {
    const scan = new ProcessScan({
      table: processTable(),
      marks: [...this.#marks.values()],
      root: this.#root,
      sockets: this.#sockets,
      cgroups: this.#cgroups,
      since,
    });
    const found = new Map<string, ProcessEntry[]>();
    let scanned = 0;
    for (const entry of scan.table.values()) {
      const owner = scan.ownerOf(entry.pid);
      if (owner !== undefined && owner !== DEWY) {
        found.set(owner, [...(found.get(owner) ?? []), entry]);
      }
      scanned += 1;
      if (scanned % BATCH === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    return found;
  }
}

/** After so many processes, other tasks get their turn: some processes have thousands of descriptors. */
const BATCH = 50;

function groupOf({ pid, startTime }: GenerationMark): readonly ProcessEntry[] {
  if (process.platform === "linux" || !groupRuns(pid)) return [];
  return [{ pid, name: "", parent: process.pid, group: pid, session: pid, startTime }];
}

interface ScanInput {
  readonly table: ReadonlyMap<number, ProcessEntry>;
  readonly marks: readonly GenerationMark[];
  readonly root: string;
  readonly sockets: readonly MarkedSocket[];
  readonly cgroups: GenerationCgroups;
  /** Processes that were started earlier are not examined. */
  readonly since: number;
}

class ProcessScan {
  readonly table: ReadonlyMap<number, ProcessEntry>;
  readonly #input: ScanInput;
  readonly #owners = new Map<number, string | undefined>();

  constructor(input: ScanInput) {
    this.table = input.table;
    // The newest first.
    this.#input = { ...input, marks: input.marks.toSorted((a, b) => (isOlder(a, b) ? 1 : -1)) };
    // dewy's ancestors do not belong to its apps, whatever signs they have.
    for (const pid of ancestors(input.table)) this.#owners.set(pid, undefined);
    this.#owners.set(process.pid, DEWY);
  }

  ownerOf(pid: number): string | undefined {
    if (this.#owners.has(pid)) return this.#owners.get(pid);
    const entry = this.table.get(pid);
    const owner = entry === undefined ? undefined : this.#find(entry);
    this.#owners.set(pid, owner);
    return owner;
  }

  #find(entry: ProcessEntry): string | undefined {
    const { marks, since } = this.#input;
    const mark = marks.find((one) => isOfSession(entry, one, this.table));
    if (mark !== undefined) return mark.id;
    const parent = this.ownerOf(entry.parent);
    if (entry.parent === process.pid) return this.#adopted(entry) ?? DEWY;
    if (parent !== undefined) return parent;
    if (Number(entry.startTime) < since) return undefined;
    return this.#byName(entry) ?? this.#byDescriptors(entry);
  }

  /** As the first process of a container, dewy is the parent of orphaned processes, and of its hooks and helpers. */
  #adopted(entry: ProcessEntry): string | undefined {
    const { marks } = this.#input;
    const id = this.#byName(entry);
    const links = descriptorsOf(entry.pid);
    return marks.find(
      (mark) => mark.id === id || (mark.channel !== undefined && links.has(mark.channel)),
    )?.id;
  }

  #byName({ pid }: ProcessEntry): string | undefined {
    const { marks, root, cgroups } = this.#input;
    const id = idInEnvironment(pid, root) ?? cgroups.idOf(pid);
    if (id === undefined || marks.some((mark) => mark.id === id)) return id;
    return seesDirectory(pid, root) ? id : undefined;
  }

  #byDescriptors(entry: ProcessEntry): string | undefined {
    const { marks, sockets } = this.#input;
    if (marks.length === 0 && sockets.length === 0) return undefined;
    const links = descriptorsOf(entry.pid);
    const own = marks.find(({ channel }) => channel !== undefined && links.has(channel));
    if (own !== undefined) return own.id;
    // The newest generation that had the socket when the process was started.
    const has = ({ link, inherited }: MarkedSocket): boolean =>
      links.has(link) && (inherited ? isNameless(entry) : entry.parent !== process.ppid);
    const mark = marks.find((one) => isOlder(one, entry) && one.sockets.some(has));
    return mark?.id ?? (sockets.some(has) ? NAMELESS : undefined);
  }
}

function idInEnvironment(pid: number, root: string): string | undefined {
  const env = environmentOf(pid);
  const number = env?.get(GENERATION_VARIABLE);
  if (env?.get(ROOT_VARIABLE) !== root || number === undefined) return undefined;
  // Earlier versions of dewy do not set an id.
  return env.get(ID_VARIABLE) ?? `generation ${number}`;
}

/** The kernel does not reuse a pid while any process of its group or session runs. */
function isOfSession(
  { group, session, startTime }: ProcessEntry,
  mark: GenerationMark,
  table: ReadonlyMap<number, ProcessEntry>,
): boolean {
  if (group !== mark.pid && session !== mark.pid) return false;
  const leader = table.get(mark.pid);
  if (leader !== undefined && leader.startTime !== mark.startTime) return false;
  return Number(startTime) >= Number(mark.startTime);
}

type Start = Pick<ProcessEntry, "pid" | "startTime">;

/** Within a clock tick, the pids decide. */
function isOlder(a: Start, b: Start): boolean {
  const [startA, startB] = [Number(a.startTime), Number(b.startTime)];
  return startA === startB ? a.pid < b.pid : startA < startB;
}

function ancestors(table: ReadonlyMap<number, ProcessEntry>): ReadonlySet<number> {
  const found = new Set<number>();
  for (let pid = process.ppid; pid > 0 && !found.has(pid); pid = table.get(pid)?.parent ?? 0) {
    found.add(pid);
  }
  return found;
}

/** A container may have the same path in another file system, with its own dewy. */
function seesDirectory(pid: number, path: string): boolean {
  try {
    const [theirs, ours] = [statSync(`/proc/${pid}/root${path}`), statSync(path)];
    return theirs.dev === ours.dev && theirs.ino === ours.ino;
  } catch {
    // It may run in a chroot. In another container it would have another mount namespace.
    const namespace = namespaceOf(pid);
    return namespace !== undefined && namespace === namespaceOf("self");
  }
}

function namespaceOf(pid: number | "self"): string | undefined {
  return attempt(() => readlinkSync(`/proc/${pid}/ns/mnt`));
}

/** systemd and server-starters pass the same sockets to other programs; those in the same service have an environment. */
function isNameless({ pid }: ProcessEntry): boolean {
  return environmentOf(pid)?.size === 0 && cgroupOf(pid) === cgroupOf("self");
}

function cgroupOf(pid: number | "self"): string | undefined {
  return attempt(() => readFileSync(`/proc/${pid}/cgroup`, "utf8"));
}

function descriptorsOf(pid: number): ReadonlySet<string> {
  const names = attempt(() => readdirSync(`/proc/${pid}/fd`)) ?? [];
  const links = names.map((fd) => attempt(() => readlinkSync(`/proc/${pid}/fd/${fd}`)) ?? "");
  return new Set(links.filter((link) => link.startsWith("socket:")));
}
