/**
 * Which processes came from which start of the app. No single sign finds them all: an app puts itself into the
 * background or starts workers in sessions of their own (then parent, group and session say nothing), nginx and others
 * overwrite their environment, and daemons close descriptors.
 *
 * @module
 */
import { randomUUID } from "node:crypto";
import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { environmentOf, type ProcessEntry, processTable } from "../../host/process/processes.ts";
import { socketInode, socketLink } from "../../host/sockets/socket_table.ts";
import { type GenerationCgroups, generationCgroups } from "./cgroup.ts";
import { groupRuns } from "./group.ts";

/** Marks the processes of a working directory; every generation has it in its environment. */
export const ROOT_VARIABLE = "DEWY_ROOT";
/** Counts the starts; after a restart of dewy from 1 again. */
export const GENERATION_VARIABLE = "DEWY_GENERATION";
/** The version of a generation. */
export const TAG_VARIABLE = "DEWY_TAG";
/** The absolute path of the release that a generation was started from. */
export const RELEASE_VARIABLE = "DEWY_RELEASE_DIR";
/** Names one start; no other has the same, on any machine. */
export const ID_VARIABLE = "DEWY_GENERATION_ID";

/** What the processes of one start of the app are recognised by. */
export interface GenerationMark {
  /** What they have in {@link ID_VARIABLE}. */
  readonly id: string;
  /** The main process, which leads a session. */
  readonly pid: number;
  /** When that was started. */
  readonly startTime: string;
  /** The other end of the readiness descriptor, such as `socket:[123]`: no other generation has it. */
  readonly channel: string | undefined;
  /** The listening sockets it was started with. */
  readonly sockets: readonly MarkedSocket[];
}

/** A listening socket that a generation was started with. */
export interface MarkedSocket {
  /** Such as `socket:[123]`. */
  readonly link: string;
  /** Whether systemd or a server-starter opened it, so that others than dewy may have given it to others. */
  readonly inherited: boolean;
}

/**
 * Marks a generation by a socket.
 *
 * @param fd the descriptor in this process.
 * @param inherited see {@link MarkedSocket}.
 * @returns the socket; none where the system does not tell.
 */
export function markedSocket(fd: number, inherited: boolean): readonly MarkedSocket[] {
  const inode = socketInode(fd);
  return inode === undefined ? [] : [{ link: socketLink(inode), inherited }];
}

/** Processes of an earlier dewy that nothing but an open socket gives away. */
const NAMELESS = "";
/** The owner of dewy itself and of its hooks and helpers. */
const DEWY = "dewy";

/** Finds the processes of generations: of those that this dewy has started, and of those of an earlier one. */
export class GenerationMembers {
  readonly #root: string;
  readonly #sockets: readonly MarkedSocket[];
  readonly #marks = new Map<string, GenerationMark>();
  readonly #instance = randomUUID();
  readonly #cgroups: GenerationCgroups;

  /**
   * Looks for nothing yet.
   *
   * @param root the working directory.
   * @param sockets the listening sockets that this dewy was started with.
   */
  constructor(root: string, sockets: readonly MarkedSocket[] = []) {
    this.#root = root;
    this.#sockets = sockets;
    this.#cgroups = generationCgroups(root);
  }

  /**
   * Makes the id of a generation of this dewy.
   *
   * @param number its number.
   * @returns what is to be in its {@link ID_VARIABLE}.
   */
  idOf(number: number): string {
    return `${this.#instance}.${number}`;
  }

  /**
   * Makes a control group for a generation.
   *
   * @param id its id.
   * @returns the directory that its first process has to join; `undefined` where there can be none.
   */
  makeCgroup(id: string): string | undefined {
    return this.#cgroups.make(id);
  }

  /** A generation has been started. */
  add(mark: GenerationMark): void {
    this.#marks.set(mark.id, mark);
  }

  /** Nothing of a generation runs any more. */
  remove(id: string): void {
    this.#marks.delete(id);
    this.#cgroups.remove(id);
  }

  /**
   * Finds what came from a generation and still runs.
   *
   * @param id its id.
   * @returns the processes; where there is no `/proc`, its main process for the whole group.
   */
  async of(id: string): Promise<readonly ProcessEntry[]> {
    const mark = this.#marks.get(id);
    const since = mark === undefined ? 0 : Number(mark.startTime);
    return (await this.#look(since)).get(id) ?? (mark === undefined ? [] : groupOf(mark));
  }

  /**
   * Finds what an earlier dewy of the same directory has left running.
   *
   * @returns the processes by the id of their generation.
   */
  async ofEarlierDewys(): Promise<ReadonlyMap<string, readonly ProcessEntry[]>> {
    const found = await this.#look(0);
    return new Map([...found].filter(([id]) => !this.#marks.has(id)));
  }

  async #look(since: number): Promise<ReadonlyMap<string, readonly ProcessEntry[]>> {
    const look = new Look({
      table: processTable(),
      marks: [...this.#marks.values()],
      root: this.#root,
      sockets: this.#sockets,
      cgroups: this.#cgroups,
      since,
    });
    const found = new Map<string, ProcessEntry[]>();
    let looked = 0;
    for (const entry of look.table.values()) {
      const owner = look.ownerOf(entry.pid);
      if (owner !== undefined && owner !== DEWY) {
        found.set(owner, [...(found.get(owner) ?? []), entry]);
      }
      looked += 1;
      if (looked % BATCH === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    return found;
  }
}

/** How many processes are looked at before something else has its turn: some have thousands of descriptors. */
const BATCH = 50;

function groupOf({ pid, startTime }: GenerationMark): readonly ProcessEntry[] {
  if (process.platform === "linux" || !groupRuns(pid)) return [];
  return [{ pid, name: "", parent: process.pid, group: pid, session: pid, startTime }];
}

/** What a look goes by. */
interface Signs {
  readonly table: ReadonlyMap<number, ProcessEntry>;
  readonly marks: readonly GenerationMark[];
  readonly root: string;
  readonly sockets: readonly MarkedSocket[];
  readonly cgroups: GenerationCgroups;
  /** What was started before is not looked for. */
  readonly since: number;
}

/** One look at all processes. */
class Look {
  readonly table: ReadonlyMap<number, ProcessEntry>;
  readonly #signs: Signs;
  readonly #owners = new Map<number, string | undefined>();

  constructor(signs: Signs) {
    this.table = signs.table;
    this.#signs = { ...signs, marks: signs.marks.toSorted((a, b) => (isOlder(a, b) ? 1 : -1)) };
    // What started dewy did not come from one of its apps, whatever signs it has.
    for (const pid of ancestors(signs.table)) this.#owners.set(pid, undefined);
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
    const { marks, since } = this.#signs;
    const mark = marks.find((one) => isOfSession(entry, one, this.table));
    if (mark !== undefined) return mark.id;
    const parent = this.ownerOf(entry.parent);
    if (entry.parent === process.pid) return this.#adopted(entry) ?? DEWY;
    if (parent !== undefined) return parent;
    if (Number(entry.startTime) < since) return undefined;
    return this.#byName(entry) ?? this.#byDescriptors(entry);
  }

  /** A dewy that is the first process of a container gets what has lost its parent, beside its hooks and helpers. */
  #adopted(entry: ProcessEntry): string | undefined {
    const { marks } = this.#signs;
    const id = this.#byName(entry);
    const links = descriptorsOf(entry.pid);
    return marks.find(
      (mark) => mark.id === id || (mark.channel !== undefined && links.has(mark.channel)),
    )?.id;
  }

  /** What its environment or its control group says. */
  #byName({ pid }: ProcessEntry): string | undefined {
    const { marks, root, cgroups } = this.#signs;
    const id = idInEnvironment(pid, root) ?? cgroups.idOf(pid);
    if (id === undefined || marks.some((mark) => mark.id === id)) return id;
    return seesDirectory(pid, root) ? id : undefined;
  }

  #byDescriptors(entry: ProcessEntry): string | undefined {
    // The newest first.
    const { marks, sockets } = this.#signs;
    if (marks.length === 0 && sockets.length === 0) return undefined;
    const links = descriptorsOf(entry.pid);
    const own = marks.find(({ channel }) => channel !== undefined && links.has(channel));
    if (own !== undefined) return own.id;
    // Of those that had the socket when it was started, it came from the newest.
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
  // An older dewy names none.
  return env.get(ID_VARIABLE) ?? `generation ${number}`;
}

/** As long as any process of its group or session runs, the main process's number is given to no other. */
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

/** Within a tick of the clock, the pids tell. */
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

/** A container may have the same path in another file system, and a dewy of its own. */
function seesDirectory(pid: number, path: string): boolean {
  try {
    const [theirs, ours] = [statSync(`/proc/${pid}/root${path}`), statSync(path)];
    return theirs.dev === ours.dev && theirs.ino === ours.ino;
  } catch {
    // In a chroot; in another container it would have another mount namespace.
    const namespace = namespaceOf(pid);
    return namespace !== undefined && namespace === namespaceOf("self");
  }
}

function namespaceOf(pid: number | "self"): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/mnt`);
  } catch {
    return undefined;
  }
}

/** systemd and server-starters give the same sockets to others, too; those of the same service have an environment. */
function isNameless({ pid }: ProcessEntry): boolean {
  return environmentOf(pid)?.size === 0 && cgroupOf(pid) === cgroupOf("self");
}

function cgroupOf(pid: number | "self"): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/cgroup`, "utf8");
  } catch {
    return undefined;
  }
}

/** What sockets a process has open. */
function descriptorsOf(pid: number): ReadonlySet<string> {
  const links = new Set<string>();
  for (const fd of descriptorNames(pid)) {
    try {
      const link = readlinkSync(`/proc/${pid}/fd/${fd}`);
      if (link.startsWith("socket:")) links.add(link);
    } catch {
      // It has been closed meanwhile.
    }
  }
  return links;
}

function descriptorNames(pid: number): readonly string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`);
  } catch {
    return []; // It has ended, or may not be looked at.
  }
}
