"""The command line: one file a command.

main        ``python -m al_core``, the group of all commands
simulate    many experiments without a person
choose      a batch from embeddings too large for memory
features    embed, pretrain
experiment  export, import, move, replay
keeping     storage, delete, backup, restore
classes     classes added, renamed, merged, split, retired
options     options that several commands share, and the images that --data names
terminal    progress bars, errors as sentences, Ctrl-C
"""
