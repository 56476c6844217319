package ir

// User stacks are walked in the kernel by tables that the loader makes of the
// programs' call frame information. For each place that a handler meets, the
// kernel tells the mapped file; files and tables are found by the file's identity,
// as the kernel has it.

// Names of the maps for user stacks.
const (
	// MapUnwind is an ARRAY_OF_MAPS of tables by number, from 1 on; a table is
	// an ARRAY of rows (UnwindRow), sorted by PC, whose first row has PC 0.
	MapUnwind = "stap_unwind"
	// MapUnwindFiles is a HASH from a file's identity {u64 dev, u64 ino} to the
	// number of its table, u64; 0 means that it has none.
	MapUnwindFiles = "stap_unwfile"
	// MapUnwindMissed is a HASH of the files that were met and are not in
	// MapUnwindFiles, with where: {u64 tgid, u64 address}; and, with
	// UnwindPageMissed for the device, of pages of code for which the kernel
	// could not tell the mapping, since it was in an interrupt.
	MapUnwindMissed = "stap_unwmiss"
	// MapUnwindPages is an LRU_HASH of pages of code that were met, from {u64
	// tgid, u64 address >> 12} to {u64 start, u64 end, u64 bias, u64 dev, u64
	// ino}: the mapping, and what is to be subtracted from an address to get
	// the offset in the file.
	MapUnwindPages = "stap_unwpage"
	// MapUnwindInfo is a data section with what the loader tells the programs.
	MapUnwindInfo = ".data.unwind"

	// ProgUnwindKey is the program that finds the identity of the file that is
	// mapped at UnwindState+UnwindPC in MapUnwindInfo, in the loader itself.
	ProgUnwindKey = "stap_unwind_key"
)

// Words of MapUnwindInfo: offsets in the kernel's structures, in bytes.
const (
	UnwindReady    = 8 * iota // 1: what follows is filled in
	UnwindVMAStart            // in vm_area_struct
	UnwindVMAEnd
	UnwindVMAPgoff
	UnwindVMAFile
	UnwindVMAMM
	UnwindVDSO      // in mm_struct
	UnwindFileInode // in file
	UnwindInodeIno  // in inode
	UnwindInodeSB
	UnwindSBDev      // in super_block
	UnwindTaskMM     // in task_struct
	UnwindTaskUtask  // in task_struct, or 0: return probes cannot be told
	UnwindUtaskChain // in uprobe_task
	UnwindRIStack    // in return_instance
	UnwindRIOrig
	UnwindRINext
	UnwindMMXol // in mm_struct
	UnwindXolAddr
	UnwindSign  // bits that may sign a return address, of machines that sign
	UnwindState // a state as the walk has it, for ProgUnwindKey
)

// State of a walk, in bytes from its start.
const (
	UnwindPC    = 8 * iota
	UnwindSP    // stack pointer
	UnwindFP    // frame pointer
	UnwindN     // frames found
	UnwindMax   // frames wanted
	UnwindExact // PC is that of an instruction, not a return address
	UnwindEntry // the first frame is at the first instruction of a function
	UnwindStart // the mapping found last
	UnwindEnd
	UnwindBias
	UnwindDev // its file
	UnwindIno
	UnwindTable // number of its table
	UnwindTGID  // with the next a key of MapUnwindPages
	UnwindPage
	UnwindTarget  // offset in the file that is looked up
	UnwindPos     // row
	UnwindCFA     // of the frame
	UnwindTmp     // 16 bytes
	_             //
	UnwindLoose   // SP is that of a frame record, on machines that have a link register
	UnwindLink    // link register, of machines that have one; 0: not known
	UnwindFrames  // UnwindMax addresses
	UnwindHead    = UnwindFrames
	UnwindInfoEnd = UnwindState + UnwindHead
)

// UnwindVDSOIno is, with device 0, the identity of the kernel's own code in user
// programs.
const UnwindVDSOIno = 1

// UnwindPageMissed is, with the number of the page for an inode, a page that is
// wanted in MapUnwindPages.
const UnwindPageMissed = -1

// UnwindRow tells how to find the caller's frame from instructions from PC on, an
// offset in the file, up to the next row. CFA is the stack pointer before the call.
type UnwindRow struct {
	PC     uint32
	CFAOff int32
	FPOff  int32
	CFA    UnwindCFAKind
	FP     UnwindFPKind
	RA     UnwindRAKind
	Words  uint8 // see UnwindRAWords
}

// UnwindRowSize is the size of a row.
const UnwindRowSize = 16

// UnwindCFAKind is how the CFA is computed.
type UnwindCFAKind uint8

// The kinds.
const (
	UnwindNone     UnwindCFAKind = iota // not known: the frame pointer is followed
	UnwindBySP                          // sp + CFAOff
	UnwindByFP                          // fp + CFAOff
	UnwindPLT                           // sp + 8, and 8 more from offset CFAOff in the 16 bytes of an entry on
	UnwindAtSP                          // in memory at sp + CFAOff
	UnwindAtFP                          // in memory at fp + CFAOff
	UnwindStackEnd                      // the outermost frame
)

// UnwindFPKind is how the caller's frame pointer is found.
type UnwindFPKind uint8

// The kinds.
const (
	UnwindFPSame  UnwindFPKind = iota
	UnwindFPAtCFA              // in memory at cfa + FPOff
	UnwindFPAtFP               // in memory at fp + FPOff
	UnwindFPAtSP               // in memory at sp + FPOff
)

// UnwindRAKind is how the return address is found.
type UnwindRAKind uint8

// The kinds.
const (
	UnwindRAAtCFA  UnwindRAKind = iota // in memory just below the CFA
	UnwindRASignal                     // in memory just above the CFA's; it is that of the very instruction
	// Of machines with a link register only:
	UnwindRALink   // in that register
	UnwindRABeside // in memory at cfa + FPOff + 8, beside the frame pointer
	UnwindRAAlone  // in memory at cfa + FPOff, where the frame pointer is not
	UnwindRAWords  // in memory at cfa - 8*Words
)
