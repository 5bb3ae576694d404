/**
 * The lifeline of a child: a small `sh` that holds the reading end of a pipe whose only writing end is here. When this
 * program ends in whatever way, SIGKILL too, the pipe closes and the shell ends the child with all it has started. It
 * is a process of its own, so the child's program, environment, arguments and exit code are exactly its own. Between
 * the start of the child and the line that names it lies less than a millisecond in which nobody watches.
 */

/** Tells the shell which process to end, and its group; 0 for none of its own. */
export function watchLine(pid: number, group: number | undefined): string {
  return `watch ${pid} ${group ?? 0}\n`;
}

/** Tells the shell that the child has ended and that there is nothing left to do. */
export const endLine = "end\n";

/** POSIX shell; reads lines from its standard input. Uses `/proc` where there is one and `ps` elsewhere. */
export const lifelineScript = `
pid= group=0
while read -r word first second; do
  case $word in
    watch) pid=$first group=$second ;;
    end) exit 0 ;;
  esac
done
[ -n "$pid" ] || exit 0

table() {
  if [ -r /proc/self/stat ]; then
    for file in /proc/[0-9]*/stat; do
      read -r line <"$file" || continue
      number=\${line%% *}
      set -- \${line##*) }
      echo "$number $2"
    done
  else
    ps -A -o pid= -o ppid=
  fi
}
grow() {
  rows=$(table)
  before=
  while [ "$before" != "$tree" ]; do
    before=$tree
    while read -r child parent; do
      case $tree in *" $child "*) continue ;; esac
      case $tree in *" $parent "*) tree="$tree$child " ;; esac
    done <<END
$rows
END
  done
}
tell() {
  for number in $tree; do kill -s "$1" "$number"; done
  [ "$group" = 0 ] || kill -s "$1" -- "-$group"
}

tree=" $pid "
grow
tell TERM
sleep 1
grow
tell STOP
grow
tell KILL
`;
