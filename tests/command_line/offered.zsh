# Prints what an interactive zsh offers at the end of a line, one a line:
#
#     zsh -f offered.zsh DIRECTORY-OF-_ipjob LINE
#
# The zsh inside a pseudo terminal has its compadd replaced by one that prints as well.
zmodload zsh/zpty
inner='
PROMPT=
fpath=($IPJOB_TEST_COMPLETIONS $fpath)
autoload -Uz compinit && compinit -u -D
bindkey "^I" complete-word
compadd() {
  # What only fills an array is no offer.
  if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then builtin compadd "$@"; return; fi
  local -a offered
  builtin compadd -A offered "$@"
  (( $#offered )) && print -rl -- $offered
  builtin compadd "$@"
}
first() { print -r -- @first@ }
last() { print -r -- @last@; exit }
compprefuncs=(first) comppostfuncs=(last)
print @ready@
'
export IPJOB_TEST_COMPLETIONS=$1 IPJOB_TEST_INNER=$inner
zpty z zsh -f -i
zpty -w z 'eval "$IPJOB_TEST_INNER"'
zpty -r -m z said '*@ready@*'
zpty -w -n z "$2"$'\t'
zpty -r -m z said '*@first@*@last@*'
said=${${said#*@first@}%%@last@*}
print -r -- ${said//$'\r'/}
zpty -d z
